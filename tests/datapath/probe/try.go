package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Try is one thing to try: Kind says what, Target where; Seconds bounds it.
type Try struct {
	Kind    string  `json:"kind"`
	Target  string  `json:"target"`
	Size    int     `json:"size"`
	Host    string  `json:"host"`
	CA      string  `json:"ca"`
	Token   string  `json:"token"`
	Seconds float64 `json:"seconds"`
}

// Answer is what was seen, or why nothing was.
type Answer struct {
	Seen  string `json:"seen"`
	Error string `json:"error"`
}

// Do tries it.
func (try Try) Do() Answer {
	limit := time.Duration(try.Seconds * float64(time.Second))
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	kinds := map[string]func(context.Context) (string, error){
		"caller": try.caller, "open": try.open, "echo": try.echo, "lookup": try.lookup, "get": try.get,
		"page": try.page,
	}
	kind, known := kinds[try.Kind]
	if !known {
		return Answer{Error: fmt.Sprintf("no try is called %q", try.Kind)}
	}
	seen, err := kind(ctx)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	return Answer{Seen: seen}
}

// caller asks a server whom it was reached as and who called.
func (try Try) caller(ctx context.Context) (string, error) {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp4", try.Target)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	end, _ := ctx.Deadline()
	_ = connection.SetDeadline(end)
	said, err := io.ReadAll(connection)
	if err == nil && len(said) == 0 {
		err = fmt.Errorf("%s said nothing", try.Target)
	}
	return strings.TrimSpace(string(said)), err
}

// open sees whether somebody takes a connection.
func (try Try) open(ctx context.Context) (string, error) {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp4", try.Target)
	if err != nil {
		return "", err
	}
	return "open", connection.Close()
}

// echo sends a packet of Size bytes, headers included, that may not be fragmented, until it comes back.
func (try Try) echo(ctx context.Context) (string, error) {
	const headers = 20 + 8
	dialer := net.Dialer{Control: forbidFragments}
	connection, err := dialer.DialContext(ctx, "udp4", try.Target)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	sent, received := bytes.Repeat([]byte{'p'}, try.Size-headers), make([]byte, 65536)
	end, _ := ctx.Deadline()
	for time.Now().Before(end) {
		if _, err = connection.Write(sent); err != nil {
			return "", err
		}
		_ = connection.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		var size int
		if size, err = connection.Read(received); err == nil {
			return fmt.Sprint(size + headers), nil
		}
	}
	return "", err
}

// lookup resolves a name as every program of the pod does.
func (try Try) lookup(ctx context.Context) (string, error) {
	found, err := net.DefaultResolver.LookupHost(ctx, try.Target)
	return strings.Join(found, " "), err
}

// get asks an HTTPS server that has to prove itself, with the pod's own token.
func (try Try) get(ctx context.Context) (string, error) {
	authority, err := os.ReadFile(try.CA)
	if err != nil {
		return "", err
	}
	token, err := os.ReadFile(try.Token)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, try.Target, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return fmt.Sprintf("%d %s", response.StatusCode, strings.TrimSpace(string(body))), err
}

// page asks a web server for something of a host, by a connection of its own.
func (try Try) page(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, try.Target, nil)
	if err != nil {
		return "", err
	}
	request.Host = try.Host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answer %d", response.StatusCode)
	}
	return strings.TrimSpace(string(body)), err
}
