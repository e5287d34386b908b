// Package ext stands for the extension points of Traefik's configuration: a nested module that its published zip leaves out.
package ext

// HTTP adds nothing to the HTTP configuration.
type HTTP struct{}

// Router adds nothing to a router.
type Router struct{}
