package daemon

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestErrorWithFullOutput checks that printing an error to a full pipe does not block.
func TestErrorWithFullOutput(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	reader, writer := os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer")
	defer reader.Close()
	defer writer.Close()
	for {
		if _, err := unix.Write(ends[1], make([]byte, 4096)); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { printError(writer, syscall.EPERM); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		reader.Close()
		t.Error("printError blocks on a full pipe")
	}
}
