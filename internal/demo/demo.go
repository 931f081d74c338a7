package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
	"portsyncd/metrics"
)

const demoUsage = `usage: portsyncd demo [--ports N] [--once] [--listen ADDRESS] [--rate N]

Runs the daemon on a switch in a box: veth interfaces in a network namespace of
its own, an in-memory database, a stand-in for orchagent. Ends on Ctrl-C.

  --ports N          ports of the switch, 1 to 512 (default 8)
  --once             go through the start, check the end state, exit 0 or 1
  --listen ADDRESS   where the daemon serves HTTP (default 127.0.0.1:9101)
  --rate N           changes a second afterwards (default 2)
`

// demoOptions are the words of the command line.
type demoOptions struct {
	ports  int
	once   bool
	listen string
	rate   float64
	inside bool // this process is the one in the namespace
}

// demoMost bounds the ports: half a thousand is a large switch.
const demoMost = 512

// Demo runs the switch in a box. The listener is opened out here, so that curl
// in the same shell reaches the daemon, and goes into the namespace as an open
// descriptor, the way systemd hands sockets over.
func Demo(args []string, stdout, stderr io.Writer) int {
	o, status := demoFlags(args, stdout, stderr)
	if o == nil {
		return status
	}
	if o.inside {
		return demoInside(o, stdout, stderr)
	}
	listener := demoListener(o.listen, stderr)
	if listener != nil {
		defer listener.Close()
	}
	if err := lab.Forbidden(); err != nil {
		fmt.Fprintf(stdout, "portsyncd demo: %v; the links are simulated\n", err)
		return runDemo(o, simulated(listener), stdout, stderr)
	}
	return demoApart(args, listener, stdout, stderr)
}

func demoFlags(args []string, stdout, stderr io.Writer) (*demoOptions, int) {
	var o demoOptions
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {}
	flags.IntVar(&o.ports, "ports", 8, "")
	flags.BoolVar(&o.once, "once", false, "")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9101", "")
	flags.Float64Var(&o.rate, "rate", 2, "")
	flags.BoolVar(&o.inside, "inside", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, demoUsage)
		return nil, daemon.ExitOK
	case err != nil:
		fmt.Fprint(stderr, demoUsage)
		return nil, daemon.ExitError
	}
	bad := ""
	switch {
	case flags.NArg() > 0:
		bad = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case o.ports < 1 || o.ports > demoMost:
		bad = fmt.Sprintf("--ports %d, expected 1 to %d", o.ports, demoMost)
	case !(o.rate > 0 && o.rate <= 1000):
		bad = fmt.Sprintf("--rate %v, expected more than 0 and at most 1000", o.rate)
	}
	if bad != "" {
		fmt.Fprintf(stderr, "portsyncd demo: %s\n", bad)
		return nil, daemon.ExitError
	}
	return &o, daemon.ExitOK
}

// demoListener opens the address, or any free port of its host if it is taken.
func demoListener(address string, stderr io.Writer) *net.TCPListener {
	l, err := net.Listen(metrics.TCPNetwork(address), address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		fmt.Fprintf(stderr, "portsyncd demo: %s is in use, taking another port\n", address)
		l, err = net.Listen(metrics.TCPNetwork(address), net.JoinHostPort(host, "0"))
	}
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: no HTTP: %v\n", err)
		return nil
	}
	return l.(*net.TCPListener)
}

// demoApart runs this program again in namespaces of its own.
func demoApart(args []string, listener *net.TCPListener, stdout, stderr io.Writer) int {
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
	// Ctrl-C reaches the child too, which ends the demo; a signal sent to this
	// process alone is passed on.
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

// demoInside is the process in the namespace.
func demoInside(o *demoOptions, stdout, stderr io.Writer) int {
	if !lab.Inside() {
		fmt.Fprintln(stderr, "portsyncd demo: --inside is for portsyncd itself")
		return daemon.ExitError
	}
	if err := lab.LoopbackUp(); err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	setup, err := real(handedListener())
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	return runDemo(o, setup, stdout, stderr)
}

// firstPassed is the first descriptor that is passed on, as in sd_listen_fds(3).
const firstPassed = 3

// handedListener is the listener that the outer process passed, or nil.
func handedListener() *net.TCPListener {
	file := os.NewFile(firstPassed, "listener")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil
	}
	tcp, _ := l.(*net.TCPListener)
	return tcp
}

// interruptible returns a context that ends on Ctrl-C or after the time limit.
func interruptible(limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	if limit == 0 {
		return ctx, stop
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, func() { cancel(); stop() }
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
