//go:build tools

// Package race names the command that is built, so that go.mod and go.sum pin all it needs.
package race

import _ "k8s.io/kubernetes/cmd/kubeadm"
