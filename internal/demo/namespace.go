package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
	"portsyncd/metrics"
)

// openListener listens on address, or on a free port of the same host if the port is in use. If it
// fails, it returns nil, and the demo runs without HTTP.
func openListener(address string, stderr io.Writer) *net.TCPListener {
	l, err := net.Listen(metrics.TCPNetwork(address), address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		fmt.Fprintf(stderr, "portsyncd demo: %s is in use; using another port\n", address)
		l, err = net.Listen(metrics.TCPNetwork(address), net.JoinHostPort(host, "0"))
	}
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: running without HTTP: %v\n", err)
		return nil
	}
	return l.(*net.TCPListener)
}

// runInNamespace runs this program in new namespaces, passes the listener to it, and returns its
// exit status.
func runInNamespace(args []string, listener *net.TCPListener, stdout, stderr io.Writer) int {
	runtime.LockOSThread() // the child is killed when the thread that started it ends
	cmd := lab.Command(context.Background(), "/proc/self/exe", append([]string{"demo", "--inside"}, args...)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if listener != nil {
		file, err := listener.File()
		if err != nil {
			fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
			return daemon.ExitError
		}
		defer file.Close()
		cmd.ExtraFiles = []*os.File{file}
		listener.Close()
	}
	// On Ctrl-C, the terminal sends SIGINT to both processes. Signals sent only to this process are
	// forwarded.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), daemon.ExitError)
	}
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}

// runInside runs the demo in the child process.
func runInside(o *options, stdout, stderr io.Writer) int {
	if !lab.Inside() {
		fmt.Fprintln(stderr, "portsyncd demo: --inside is reserved for the demo itself")
		return daemon.ExitError
	}
	if err := lab.LoopbackUp(); err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	setup, err := realLinks(inheritedListener())
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	return runDemo(o, setup, stdout, stderr)
}

// firstExtraFile is the file descriptor of the first entry of [exec.Cmd.ExtraFiles] in the child
// process.
const firstExtraFile = 3

// inheritedListener returns the listener inherited from the parent process, or nil if there is
// none.
func inheritedListener() *net.TCPListener {
	file := os.NewFile(firstExtraFile, "listener")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil
	}
	tcp, _ := l.(*net.TCPListener)
	return tcp
}
