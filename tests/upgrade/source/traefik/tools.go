//go:build tools

// Package traefik names the command that is built, so that go.mod and go.sum pin all it needs.
package traefik

import _ "github.com/traefik/traefik/v3/cmd/traefik"
