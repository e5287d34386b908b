// Probe serves in a pod, and tries from a pod what others of its kind serve. `probe try` reads a list of tries and
// writes their answers in the same order; `probe load` repeats them until its input ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	peerPort  = 7000 // TCP says who calls, UDP sends back what comes
	webPort   = 8000
	discovery = 10 // IP_MTU_DISCOVER
	always    = 3  // IP_PMTUDISC_PROBE: never fragment, whatever is known of the path
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: probe serve|try|load")
	}
	switch os.Args[1] {
	case "serve":
		log.Fatal(serve())
	case "try":
		if err := tryAll(os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
	case "load":
		if err := load(os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatalf("unknown command %q", os.Args[1])
	}
}

func serve() error {
	callers, err := net.Listen("tcp4", fmt.Sprintf(":%d", peerPort))
	if err != nil {
		return err
	}
	echo, err := unfragmented().ListenPacket(context.Background(), "udp4", fmt.Sprintf(":%d", peerPort))
	if err != nil {
		return err
	}
	go greet(callers)
	go reflect(echo)
	mux := http.NewServeMux()
	mux.HandleFunc("/caller", func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]string{
			"peer": r.RemoteAddr, "forwarded": r.Header.Get("X-Forwarded-For"), "real": r.Header.Get("X-Real-Ip"),
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	server := &http.Server{Addr: fmt.Sprintf(":%d", webPort), Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// greet tells each caller whom it reached and who it is there.
func greet(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
			here, _, _ := net.SplitHostPort(connection.LocalAddr().String())
			there, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
			_, _ = fmt.Fprintf(connection, "%s %s\n", here, there)
		}()
	}
}

func reflect(socket net.PacketConn) {
	packet := make([]byte, 65536)
	for {
		size, from, err := socket.ReadFrom(packet)
		if err != nil {
			log.Fatal(err)
		}
		_, _ = socket.WriteTo(packet[:size], from)
	}
}

func unfragmented() *net.ListenConfig {
	return &net.ListenConfig{Control: forbidFragments}
}

func forbidFragments(_, _ string, socket syscall.RawConn) error {
	var failed error
	err := socket.Control(func(descriptor uintptr) {
		failed = syscall.SetsockoptInt(int(descriptor), syscall.IPPROTO_IP, discovery, always)
	})
	if err != nil {
		return err
	}
	return failed
}

func tryAll(in io.Reader, out io.Writer) error {
	var tries []Try
	if err := json.NewDecoder(in).Decode(&tries); err != nil {
		return err
	}
	answers := make([]Answer, len(tries))
	var all sync.WaitGroup
	room := make(chan struct{}, 32)
	for index, try := range tries {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			answers[index] = try.Do()
		})
	}
	all.Wait()
	return json.NewEncoder(out).Encode(answers)
}
