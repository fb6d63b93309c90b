package testenv

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// Nobody returns an address (host:port) where connections are refused until the test ends: the port is taken, so that no other
// process gets it, and nobody listens on it.
func Nobody(t testing.TB) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatalf("make a socket: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("take a port: %v", err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatalf("read which port was taken: %v", err)
	}
	at, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("the socket has the address %v, want one of IPv4", name)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(at.Port))
}
