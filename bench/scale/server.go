package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"portsyncd/lab"
)

// databases is how many a SONiC device has.
const databases = 32

// startServer starts the databases of a switch, empty, at a unix socket.
func startServer(socket string) (stop func(), err error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return startLab(socket)
	}
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--databases", strconv.Itoa(databases),
		"--save", "", "--notify-keyspace-events", "AKE", "--dir", filepath.Dir(socket))
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
			return func() {
				cmd.Process.Kill()
				cmd.Wait()
			}, nil
		}
	}
}

// startLab starts the in-memory database in this process.
func startLab(socket string) (stop func(), err error) {
	progress("no redis-server here, package lab serves the databases")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	db := lab.NewDB(lab.DBOptions{Databases: databases, Notify: "AKE"})
	go db.Serve(l)
	return func() { db.Close() }, nil
}
