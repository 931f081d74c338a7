package metrics

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// TestMain fails if 127.0.0.1 is not reachable, since many tests would time out.
func TestMain(m *testing.M) {
	if err := reachLoopback(); err != nil {
		fmt.Fprintf(os.Stderr, "tests need a reachable 127.0.0.1 (is lo up?): %v\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func reachLoopback() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
