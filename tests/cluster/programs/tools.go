//go:build tools

// Names the programs that the tests of the operator start, so that go.mod pins their versions.
package programs

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
