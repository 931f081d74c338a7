package switchtest

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Demo is a running "portsyncd demo" process that has completed its startup.
type Demo struct {
	address   string // address of its HTTP server
	Simulated bool   // its links are simulated, not the kernel's
}

// StartDemo starts "portsyncd demo" and waits until the demo prints its HTTP address. The demo is
// stopped when the test ends.
func StartDemo(t T) *Demo {
	t.Helper()
	cmd := exec.Command(Binary(t), "demo", "--ports", "4", "--rate", "20", "--listen", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d, read := new(Demo), make(chan error, 1)
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("demo: %v", err)
		}
	})
	addresses := make(chan string, 1)
	go func() {
		url := regexp.MustCompile(`curl http://(\S+)/metrics`)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			d.Simulated = d.Simulated || len(addresses) == 0 && strings.Contains(lines.Text(), "with simulated links")
			if m := url.FindStringSubmatch(lines.Text()); m != nil {
				addresses <- m[1]
			}
		}
		read <- lines.Err()
	}()
	select {
	case d.address = <-addresses:
	case err := <-read:
		read <- err
		t.Fatal("the demo ended early")
	case <-time.After(30 * time.Second):
		t.Fatal("the demo printed no address")
	}
	return d
}

// Get returns the body of a page.
func (d *Demo) Get(t T, page string) string {
	t.Helper()
	text, err := Fetch("http://" + d.address + page)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
