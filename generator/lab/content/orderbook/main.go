// Command orderbook stands, in the lab only, for the limit order book application: the same image name, environment,
// port, paths and tables, and the same weakness that it never opens a second connection to its database.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	port := flag.Int("port", 3000, "port to listen on")
	flag.Parse()
	if err := run(*port); err != nil {
		log.Fatal(err)
	}
}

func run(port int) error {
	if name := os.Getenv("LOGFILE"); name != "" {
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		log.SetOutput(file)
	} else {
		log.SetOutput(os.Stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	store, err := Open(ctx, Database{
		Host:     os.Getenv("POSTGRES_HOST"),
		Port:     cmp.Or(os.Getenv("POSTGRES_PORT"), "5432"),
		Name:     os.Getenv("POSTGRES_DB"),
		User:     os.Getenv("POSTGRES_USER"),
		Password: os.Getenv("POSTGRES_PASSWORD"),
	})
	if err != nil {
		return fmt.Errorf("the database cannot be used: %w", err)
	}
	exchange, err := NewExchange(ctx, store)
	if err != nil {
		return fmt.Errorf("the book cannot be read: %w", err)
	}

	server := &http.Server{
		Addr:              fmt.Sprintf(":%d", port),
		Handler:           exchange.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
	}
	finished := make(chan error)
	go func() {
		<-ctx.Done()
		// requests that have begun are answered
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		finished <- server.Shutdown(patience)
	}()
	log.Printf("serving on port %d", port)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return <-finished
}
