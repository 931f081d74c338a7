package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"portsyncd/config"
	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
)

// demoSetup is what differs between real and simulated links.
type demoSetup struct {
	where    string
	links    portsync.Links
	existing []portsync.OldLink
	setDown  func([]int32) []error
	maker    lab.LinkMaker // for orchagent
	flapper  lab.LinkMaker // for the cables
	listener *net.TCPListener
	kernel   func() (map[string]linkState, error) // nil: nobody to ask
}

// linkState is what the kernel says of an interface.
type linkState struct {
	admin, oper bool
	mtu         uint32
}

// real uses the interfaces of the present network namespace.
func real(listener *net.TCPListener) (*demoSetup, error) {
	conn, existing, err := daemon.OpenLinks(context.Background(), func(error) {})
	if err != nil {
		return nil, err
	}
	maker, err := lab.DialLinks()
	if err != nil {
		return nil, err
	}
	flapper, err := lab.DialLinks()
	if err != nil {
		return nil, err
	}
	return &demoSetup{
		where: "in a network namespace of its own",
		links: conn, existing: existing, setDown: netlinkraw.SetLinksDown,
		maker: maker, flapper: flapper, listener: listener, kernel: kernelLinks,
	}, nil
}

// Simulated uses links that exist in memory only.
func simulated(listener *net.TCPListener) *demoSetup {
	kernel := lab.NewSimKernel()
	return &demoSetup{
		where: "with simulated links",
		links: kernel, setDown: func([]int32) []error { return nil },
		maker: kernel, flapper: kernel, listener: listener,
	}
}

// kernelLinks asks the kernel for all interfaces.
func kernelLinks() (map[string]linkState, error) {
	links := make(map[string]linkState)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		links[string(l.Name)] = linkState{admin: l.Up(), oper: l.Running(), mtu: l.MTU}
	})
	return links, err
}

// demoRun is a demo while it runs.
type demoRun struct {
	*demoOptions
	*demoSetup
	account *account
	sw      *lab.Switch
	daemon  *daemon.Daemon
	names   []string
}

// onceLimit is how long --once may take, and settleLimit how long STATE_DB may
// take to be what the kernel says once nothing moves any more.
const (
	onceLimit   = 60 * time.Second
	settleLimit = 5 * time.Second
)

// runDemo plays the demo and returns the exit status.
func runDemo(o *demoOptions, setup *demoSetup, stdout, stderr io.Writer) int {
	d := &demoRun{demoOptions: o, demoSetup: setup, account: newAccount(stdout)}
	if err := d.play(); err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}

// play starts the switch and the daemon on it, and ends both.
func (d *demoRun) play() (err error) {
	limit := time.Duration(0)
	if d.once {
		limit = onceLimit
	}
	ctx, stop := interruptible(limit)
	defer stop()
	d.sw, err = lab.NewSwitch(lab.Options{Ports: d.ports, Links: d.maker, Report: d.account.orchagent})
	if err != nil {
		return err
	}
	defer d.sw.Close()
	for i := range d.ports {
		d.names = append(d.names, lab.PortName(i))
	}
	d.account.title(d.ports, d.where)
	// Warnings and worse are shown; the account says the rest.
	if _, err := d.sw.DB.Do(4, "HSET", "LOGGER|portsyncd", "LOGLEVEL", "WARN", "LOGOUTPUT", "STDERR"); err != nil {
		return err
	}
	watcher, err := d.account.watchState(ctx, d.sw.Map)
	if err != nil {
		return err
	}
	defer watcher.Close()

	parts, end := context.WithCancel(context.Background())
	orchagent, daemon := make(chan error, 1), make(chan error, 1)
	d.prepareDaemon()
	go func() { daemon <- d.daemon.Run(parts) }()
	go func() { orchagent <- d.sw.Run(parts) }()

	err = d.choreography(ctx)
	if err == nil && !d.once {
		d.flap(ctx)
		fmt.Fprintln(d.account.out)
	}
	if err == nil {
		err = d.checkEnd()
	}
	end()
	return errors.Join(err, <-daemon, <-orchagent)
}

// prepareDaemon makes the daemon, configured for this switch.
func (d *demoRun) prepareDaemon() {
	cfg := config.Default()
	cfg.Database.ConfigFile = d.sw.ConfigFile
	cfg.Metrics.Listen = nil
	cfg.Metrics.StoragePath = filepath.Join(filepath.Dir(d.sw.ConfigFile), "metrics")
	cfg.WarmRestart.StateFile = filepath.Join(filepath.Dir(d.sw.ConfigFile), "port_state.json")
	o := daemon.Options{
		Config: cfg, ConfigFile: os.DevNull, Links: d.links, Existing: d.existing, SetDown: d.setDown,
		Logs: syslog.New(syslog.Options{Output: syslog.Stderr, Level: slog.LevelWarn}),
	}
	if d.listener != nil {
		o.Listeners = []net.Listener{d.listener}
	}
	d.daemon = daemon.New(o)
}

// choreography waits for the start to be over.
func (d *demoRun) choreography(ctx context.Context) error {
	err := d.sw.DB.Await(ctx, func() bool { return d.differences(nil) == "" })
	if err == nil {
		select {
		case <-d.account.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	switch {
	case err == nil:
		d.account.started(len(d.names))
		if !d.once {
			d.account.addresses(d.listener, d.sw.Socket)
		}
		return nil
	case d.once:
		return fmt.Errorf("the start did not end within %v: %w; %s", onceLimit, err, d.differences(nil))
	}
	return nil // Ctrl-C
}

// flap makes the switch unquiet until ctx ends.
func (d *demoRun) flap(ctx context.Context) {
	f := lab.Flapper{
		Links: d.flapper, Ports: d.names, MTU: 9100, Rate: d.rate,
		Seed: uint64(time.Now().UnixNano()), Report: d.account.cable,
	}
	f.Run(ctx)
}

// checkEnd compares STATE_DB with the kernel, once nothing moves any more. The
// kernel is asked anew each time: it may still have a carrier to act on.
func (d *demoRun) checkEnd() error {
	end := time.Now().Add(settleLimit)
	for {
		var kernel map[string]linkState
		if d.kernel != nil {
			var err error
			if kernel, err = d.kernel(); err != nil {
				return err
			}
		}
		difference := d.differences(kernel)
		switch {
		case difference == "":
			d.account.inStep(len(d.names), kernel != nil)
			return nil
		case time.Now().After(end):
			return fmt.Errorf("STATE_DB is not what it should be: %s", difference)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// differences names the first port whose row is not what the kernel says or,
// without a kernel to ask, what a port that is up shows. "" means none.
func (d *demoRun) differences(kernel map[string]linkState) string {
	for _, name := range d.names {
		want := linkState{admin: true, oper: true, mtu: 9100}
		if kernel != nil {
			want = kernel[name]
		}
		row := d.sw.DB.Hash(6, "PORT_TABLE|"+name)
		got := fmt.Sprint(row["state"], row["admin_status"], row["netdev_oper_status"], row["mtu"])
		if got != fmt.Sprint("ok", upDown(want.admin), upDown(want.oper), strconv.Itoa(int(want.mtu))) {
			return fmt.Sprintf("%s is %v, expected admin %s, oper %s, mtu %d", name, row,
				upDown(want.admin), upDown(want.oper), want.mtu)
		}
	}
	return ""
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}
