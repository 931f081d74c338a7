package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"portsyncd/config"
	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
)

// setup holds the values that differ between real and simulated links.
type setup struct {
	where     string                               // shown in the title of the transcript
	links     portsync.Links                       // for the daemon
	existing  []portsync.OldLink                   // for the daemon
	setDown   func([]int32) []error                // for the daemon
	creator   lab.LinkMaker                        // used by orchagent to create links
	flapper   lab.LinkMaker                        // used to change links after startup
	listener  *net.TCPListener                     // HTTP listener, or nil
	listLinks func() (map[string]linkState, error) // by name; nil: simulated links
}

// linkState is the state of a kernel interface.
type linkState struct {
	admin, oper bool
	mtu         uint32
}

// realLinks returns a setup that uses the links in this process's network namespace.
func realLinks(listener *net.TCPListener) (*setup, error) {
	conn, existing, err := daemon.OpenLinks(context.Background(), func(error) {})
	if err != nil {
		return nil, err
	}
	creator, err := lab.DialLinks()
	if err != nil {
		return nil, err
	}
	flapper, err := lab.DialLinks()
	if err != nil {
		return nil, err
	}
	return &setup{
		where: "in a network namespace of its own",
		links: conn, existing: existing, setDown: netlinkraw.SetLinksDown,
		creator: creator, flapper: flapper, listener: listener, listLinks: listLinks,
	}, nil
}

// simulatedLinks returns a setup whose links exist only in memory.
func simulatedLinks(listener *net.TCPListener) *setup {
	kernel := lab.NewSimKernel()
	return &setup{
		where: "with simulated links",
		links: kernel, setDown: func([]int32) []error { return nil },
		creator: kernel, flapper: kernel, listener: listener,
	}
}

// listLinks returns the state of all interfaces in the network namespace.
func listLinks() (map[string]linkState, error) {
	links := make(map[string]linkState)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		links[string(l.Name)] = linkState{admin: l.Up(), oper: l.Running(), mtu: l.MTU}
	})
	return links, err
}

// demo is a running demo.
type demo struct {
	*options
	*setup
	transcript *transcript
	sw         *lab.Switch
	daemon     *daemon.Daemon
	names      []string // port names
}

const (
	onceTimeout  = 60 * time.Second // maximum startup time with --once
	checkTimeout = 5 * time.Second  // maximum time for the final check
)

// runDemo runs the demo and returns the exit status.
func runDemo(o *options, s *setup, stdout, stderr io.Writer) int {
	d := &demo{options: o, setup: s}
	d.transcript = newTranscript(stdout, o.ports, d.portsUp)
	if err := d.run(); err != nil {
		fmt.Fprintf(stderr, "portsyncd demo: %v\n", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}

// run starts the switch and the daemon, waits until the demo ends, and stops both.
func (d *demo) run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if d.once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, onceTimeout)
		defer cancel()
	}
	d.sw, err = lab.NewSwitch(lab.Options{Ports: d.ports, Links: d.creator, Report: d.transcript.orchagentEvent})
	if err != nil {
		return err
	}
	defer d.sw.Close()
	for i := range d.ports {
		d.names = append(d.names, lab.PortName(i))
	}
	d.transcript.printTitle(d.where)
	// The daemon prints only warnings and errors. The transcript shows everything else.
	if _, err := d.sw.DB.Do(lab.ConfigDB, "HSET", "LOGGER|portsyncd", "LOGLEVEL", "WARN", "LOGOUTPUT", "STDERR"); err != nil {
		return err
	}
	watcher, err := d.transcript.watchState(ctx, d.sw.Map)
	if err != nil {
		return err
	}
	defer watcher.Close()

	running, end := context.WithCancel(context.Background())
	orchagentDone, daemonDone := make(chan error, 1), make(chan error, 1)
	d.makeDaemon()
	go func() { daemonDone <- d.daemon.Run(running) }()
	go func() { orchagentDone <- d.sw.Run(running) }()
	go d.transcript.run(running)

	err = d.awaitStart(ctx)
	if err == nil && !d.once {
		d.flap(ctx)
	}
	if err == nil {
		err = d.checkEndState()
	}
	end()
	return errors.Join(err, <-daemonDone, <-orchagentDone)
}

// makeDaemon creates a daemon that is configured for this switch.
func (d *demo) makeDaemon() {
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

// awaitStart waits until startup is complete and STATE_DB shows all ports as up. It returns an
// error on interrupt only with --once.
func (d *demo) awaitStart(ctx context.Context) error {
	err := d.sw.DB.Await(ctx, func() bool { return d.difference(nil) == "" })
	if err == nil {
		select {
		case <-d.transcript.initDone:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	switch {
	case err == nil:
		d.transcript.startComplete()
		if !d.once {
			d.transcript.printNextSteps(d.listener, d.sw.Socket)
		}
	case d.once:
		return fmt.Errorf("startup did not complete within %v: %w; %s", onceTimeout, err, d.difference(nil))
	}
	return nil
}

// flap changes links until ctx is done.
func (d *demo) flap(ctx context.Context) {
	f := lab.Flapper{
		Links: d.flapper, Ports: d.names, MTU: 9100, Rate: d.rate,
		Seed: uint64(time.Now().UnixNano()), Begin: d.transcript.beginChange, Report: d.transcript.flapEvent,
	}
	f.Run(ctx)
}

// checkEndState waits until STATE_DB matches the kernel and shows all ports as up, which is the state
// that the demo restores. It returns an error after checkTimeout. It lists the links before each comparison because the kernel may still be processing a carrier
// change.
func (d *demo) checkEndState() error {
	end := time.Now().Add(checkTimeout)
	for {
		var links map[string]linkState
		if d.listLinks != nil {
			var err error
			if links, err = d.listLinks(); err != nil {
				return err
			}
		}
		difference := cmp.Or(d.difference(links), d.difference(nil))
		switch {
		case difference == "":
			if !d.once {
				d.transcript.printLine()
				fmt.Fprintln(d.transcript.out)
			}
			d.transcript.endState(links != nil)
			return nil
		case time.Now().After(end):
			return fmt.Errorf("STATE_DB does not match the kernel: %s", difference)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// difference describes the first port whose STATE_DB row does not match links. If links is nil, all
// ports are expected to be up. It returns "" if all rows match.
func (d *demo) difference(links map[string]linkState) string {
	for _, name := range d.names {
		want := linkState{admin: true, oper: true, mtu: 9100}
		if links != nil {
			want = links[name]
		}
		row := d.sw.DB.Hash(lab.StateDB, "PORT_TABLE|"+name)
		got := fmt.Sprint(row["state"], row["admin_status"], row["netdev_oper_status"], row["mtu"])
		if got != fmt.Sprint("ok", upDown(want.admin), upDown(want.oper), strconv.Itoa(int(want.mtu))) {
			return fmt.Sprintf("%s is %v, expected admin %s, oper %s, mtu %d", name, row,
				upDown(want.admin), upDown(want.oper), want.mtu)
		}
	}
	return ""
}

// portsUp returns the number of ports that are up in STATE_DB.
func (d *demo) portsUp() (n int) {
	for _, name := range d.names {
		if d.sw.DB.Hash(lab.StateDB, "PORT_TABLE|"+name)["netdev_oper_status"] == "up" {
			n++
		}
	}
	return n
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// plural returns n followed by the noun in singular or plural form.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
