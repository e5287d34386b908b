//go:build tools

// Package cilium names the commands that are built, so that go.mod and go.sum pin all they need.
package cilium

import (
	_ "github.com/cilium/cilium/daemon"
	_ "github.com/cilium/cilium/operator"
	_ "github.com/cilium/cilium/plugins/cilium-cni"
)
