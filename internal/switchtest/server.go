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

	"portsyncd/internal/lab"
)

// DatabaseServer is a server for the databases of a switch. It listens on a unix socket and on a
// TCP port.
type DatabaseServer interface {
	Start(at Database) error
	Stop()
}

// databases is the number of databases of a SONiC device.
const databases = 32

// NewDatabaseServer returns a redis-server that has not been started, or the database of package
// lab if redis-server is not installed or PORTSYNCD_TEST_DB=lab.
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

// RedisServer is a redis-server process that saves its data only when a test requests it.
type RedisServer struct {
	Cmd *exec.Cmd
	at  Database
}

// NewRedisServer returns a server that has not been started. It skips the test if redis-server is
// not installed or PORTSYNCD_TEST_DB=lab.
func NewRedisServer(t T) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil || os.Getenv("PORTSYNCD_TEST_DB") == "lab" {
		lab.Unavailable(t, "this test needs redis-server")
	}
	return new(RedisServer)
}

// Start starts the server and returns when it accepts connections.
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

// Restart starts the server again after Stop with the last saved data.
func (r *RedisServer) Restart() error { return r.Start(r.at) }

// Stop kills the server. Rows that it did not save are lost.
func (r *RedisServer) Stop() {
	r.Cmd.Process.Kill()
	r.Cmd.Wait()
}

// Pause stops the process with SIGSTOP: connections stay open but receive no replies.
func (r *RedisServer) Pause() { r.Cmd.Process.Signal(syscall.SIGSTOP) }

// Resume continues the process after Pause.
func (r *RedisServer) Resume() { r.Cmd.Process.Signal(syscall.SIGCONT) }

// LabServer is the in-memory database of package lab, in this process.
type LabServer struct{ *lab.DB }

func newLabServer() *LabServer {
	return &LabServer{lab.NewDB(lab.DBOptions{Databases: databases, Notify: "AKE"})}
}

// Start makes the server listen on the unix socket and on the TCP port.
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

// Stop closes the listeners and all connections.
func (s *LabServer) Stop() { s.Close() }
