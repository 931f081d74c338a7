package switchtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"portsyncd/internal/lab"
)

// dbServer is what serves the databases of a cell, at a unix socket and at a TCP
// port.
type dbServer interface {
	Start(at place) error
	Stop()
}

// databases is how many a SONiC device has.
const databases = 32

// NewServer returns a real Redis, or the in-memory database where there is none
// or PORTSYNCD_TEST_DB asks for it.
func NewServer(t *testing.T) dbServer {
	t.Helper()
	switch kind := os.Getenv("PORTSYNCD_TEST_DB"); kind {
	case "lab":
		return newLab()
	case "redis":
		return NewRedis(t)
	case "":
		if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") != "1" {
			return newLab()
		}
		return NewRedis(t)
	default:
		t.Fatalf("PORTSYNCD_TEST_DB is %q, want redis or lab", kind)
		return nil
	}
}

// RedisServer is a redis-server process without persistence.
type RedisServer struct {
	Cmd *exec.Cmd
	at  place
}

func NewRedis(t *testing.T) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil || os.Getenv("PORTSYNCD_TEST_DB") == "lab" {
		lab.Unavailable(t, "this test needs redis-server")
	}
	return new(RedisServer)
}

// Start returns when the server takes connections.
func (r *RedisServer) Start(at place) error {
	r.at = at
	r.Cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(at.port),
		"--unixsocket", at.socket, "--unixsocketperm", "777", "--databases", strconv.Itoa(databases),
		"--save", "", "--appendonly", "no", "--notify-keyspace-events", "AKE", "--dir", filepath.Dir(at.socket))
	r.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := r.Cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.Cmd.Start(); err != nil {
		return err
	}
	log := bufio.NewReader(stdout)
	var said bytes.Buffer
	for {
		line, err := log.ReadString('\n')
		said.WriteString(line)
		switch {
		case err != nil:
			return fmt.Errorf("redis-server: %w: %s", r.Cmd.Wait(), &said)
		case bytes.Contains(said.Bytes(), []byte("connections at "+at.socket)):
			go io.Copy(io.Discard, log)
			return nil
		}
	}
}

// Again starts the server anew, empty, after kill.
func (r *RedisServer) Again() error { return r.Start(r.at) }

// Kill ends the server as an out-of-memory killer would.
func (r *RedisServer) Kill() { r.Stop() }

func (r *RedisServer) Stop() {
	r.Cmd.Process.Kill()
	r.Cmd.Wait()
}

// Pause and resume hold the server up: connections stay open, and nobody
// answers.
func (r *RedisServer) Pause()  { r.Cmd.Process.Signal(syscall.SIGSTOP) }
func (r *RedisServer) Resume() { r.Cmd.Process.Signal(syscall.SIGCONT) }

// LabServer is the in-memory database of package lab, in this process.
type LabServer struct{ *lab.DB }

func newLab() *LabServer {
	return &LabServer{lab.NewDB(lab.DBOptions{Databases: databases, Notify: "AKE"})}
}

func (s *LabServer) Start(at place) error {
	unixListener, err := net.Listen("unix", at.socket)
	if err != nil {
		return err
	}
	tcpListener, err := net.Listen("tcp", at.Tcp())
	if err != nil {
		return errors.Join(err, unixListener.Close())
	}
	go s.Serve(unixListener)
	go s.Serve(tcpListener)
	return nil
}

func (s *LabServer) Stop() { s.Close() }
