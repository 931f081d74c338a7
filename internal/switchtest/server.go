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
	"portsyncd/internal/lab"
	"strconv"
	"syscall"
)

// dbServer is what serves the databases of a cell, at a unix socket and at a TCP
// port.
type DatabaseServer interface {
	Start(at Database) error
	Stop()
}

// databases is how many a SONiC device has.
const databases = 32

// NewServer returns a real Redis, or the in-memory database where there is none
// or PORTSYNCD_TEST_DB asks for it.
func NewDatabaseServer(t T) DatabaseServer {
	t.Helper()
	switch kind := os.Getenv("PORTSYNCD_TEST_DB"); kind {
	case "lab":
		return newLabServer()
	case "redis":
		return NewRedisServer(t)
	case "":
		if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") != "1" {
			return newLabServer()
		}
		return NewRedisServer(t)
	default:
		t.Fatalf("PORTSYNCD_TEST_DB is %q, want redis or lab", kind)
		return nil
	}
}

// RedisServer is a redis-server process without persistence.
type RedisServer struct {
	Cmd *exec.Cmd
	at  Database
}

func NewRedisServer(t T) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil || os.Getenv("PORTSYNCD_TEST_DB") == "lab" {
		lab.Unavailable(t, "this test needs redis-server")
	}
	return new(RedisServer)
}

// Start returns when the server takes connections.
func (r *RedisServer) Start(at Database) error {
	r.at = at
	r.Cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(at.Port),
		"--unixsocket", at.Socket, "--unixsocketperm", "777", "--databases", strconv.Itoa(databases),
		"--save", "", "--appendonly", "no", "--notify-keyspace-events", "AKE", "--dir", filepath.Dir(at.Socket))
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
		case bytes.Contains(said.Bytes(), []byte("connections at "+at.Socket)):
			go io.Copy(io.Discard, log)
			return nil
		}
	}
}

// Again starts the server anew, empty, after kill.
func (r *RedisServer) Restart() error { return r.Start(r.at) }

func (r *RedisServer) Stop() {
	r.Cmd.Process.Kill()
	r.Cmd.Wait()
}

// Pause and resume hold the server up: connections stay open, and nobody
// answers.
func (r *RedisServer) Pause() { r.Cmd.Process.Signal(syscall.SIGSTOP) }

func (r *RedisServer) Resume() { r.Cmd.Process.Signal(syscall.SIGCONT) }

// LabServer is the in-memory database of package lab, in this process.
type LabServer struct{ *lab.DB }

func newLabServer() *LabServer {
	return &LabServer{lab.NewDB(lab.DBOptions{Databases: databases, Notify: "AKE"})}
}

func (s *LabServer) Start(at Database) error {
	unixListener, err := net.Listen("unix", at.Socket)
	if err != nil {
		return err
	}
	tcpListener, err := net.Listen("tcp", at.TCPAddress())
	if err != nil {
		return errors.Join(err, unixListener.Close())
	}
	go s.Serve(unixListener)
	go s.Serve(tcpListener)
	return nil
}

func (s *LabServer) Stop() { s.Close() }
