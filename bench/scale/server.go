package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"portsyncd/internal/lab"
)

// databases is how many a SONiC device has.
const databases = 32

// server is the databases of a switch.
type server struct {
	cmd *exec.Cmd // nil where package lab serves them
	db  *lab.DB
}

// startServer starts the databases of a switch at a unix socket: empty, or with
// what a server that was ended had before.
func startServer(socket string) (*server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return startLab(socket)
	}
	// It saves when it is asked to end, and at no other time.
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--databases", strconv.Itoa(databases),
		"--save", "86400 1000000000", "--notify-keyspace-events", "AKE", "--dir", filepath.Dir(socket))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	log := bufio.NewReader(stdout)
	var said bytes.Buffer
	for {
		line, err := log.ReadString('\n')
		said.WriteString(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("redis-server: %w: %s", cmd.Wait(), &said)
		case bytes.Contains(said.Bytes(), []byte("connections at "+socket)):
			go io.Copy(io.Discard, log)
			return &server{cmd: cmd}, nil
		}
	}
}

// kill ends the server at once; what it held is lost.
func (s *server) kill() {
	if s.cmd == nil {
		s.db.Close()
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// end has redis-server save what it holds, and end.
func (s *server) end() error {
	if s.cmd == nil {
		return errors.New("the database of package lab cannot be restarted, redis-server is needed")
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// startLab starts the in-memory database in this process.
func startLab(socket string) (*server, error) {
	progress("no redis-server here, package lab serves the databases")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	db := lab.NewDB(lab.DBOptions{Databases: databases, Notify: "AKE"})
	go db.Serve(l)
	return &server{db: db}, nil
}
