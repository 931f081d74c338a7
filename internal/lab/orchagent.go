package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/sonicdb"
)

// OrchStep is a step performed by an [Orchagent].
type OrchStep uint8

// Steps of an Orchagent.
const (
	PortPopped       OrchStep = iota + 1 // popped the row of a port
	PortCreated                          // created the interface of the port
	PortConfigured                       // set MTU and admin state from the row
	PortDeleted                          // deleted the interface after a row without fields
	ConfigDonePopped                     // popped PortConfigDone
	InitDonePopped                       // popped PortInitDone
)

// String returns a description of the step.
func (s OrchStep) String() string {
	switch s {
	case PortPopped:
		return "popped"
	case PortCreated:
		return "created"
	case PortConfigured:
		return "configured"
	case PortDeleted:
		return "deleted"
	case ConfigDonePopped:
		return "popped PortConfigDone"
	case InitDonePopped:
		return "popped PortInitDone"
	}
	return "OrchStep(" + strconv.Itoa(int(s)) + ")"
}

// OrchEvent reports a step.
type OrchEvent struct {
	Step OrchStep
	Port string // "" for PortConfigDone and PortInitDone
	Err  error  // the step's error, or nil
}

// Orchagent simulates SONiC's orchagent and portmgrd as seen by portsyncd: it pops the rows of
// PORT_TABLE, and after PortConfigDone it creates and configures an interface for each port. It
// also works with a real Redis server.
type Orchagent struct {
	// ApplDB is the database that contains PORT_TABLE.
	ApplDB sonicdb.Database
	// Links creates the interfaces. It must not be used elsewhere during Run.
	Links LinkMaker
	// Pace is the pause between creating two interfaces.
	Pace time.Duration
	// Report, if not nil, is called from Run after each step.
	Report func(OrchEvent)

	conn       *sonicdb.Conn
	configDone bool
	rows       map[string][]sonicdb.FieldValue // popped rows by port
	made       map[string]bool
	todo       []string // ports whose interface has not been created
}

const (
	portTable  = "PORT_TABLE"
	configDone = "PortConfigDone"
	initDone   = "PortInitDone"
	popBatch   = 128 // rows per pop, like orchagent
)

// Run first pops the pending rows of PORT_TABLE. It runs until ctx ends, then returns nil, or until
// a database error occurs.
func (o *Orchagent) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop() // closes the connections
	subscription, err := o.connect(ctx)
	if err != nil {
		return fmt.Errorf("orchagent: %w", err)
	}
	conn := o.conn
	context.AfterFunc(ctx, func() {
		conn.Close()
		subscription.Close()
	})
	woken, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- listen(subscription, woken) }()
	defer func() {
		stop()
		<-ended
	}()

	o.configDone, o.todo = false, nil
	o.rows, o.made = make(map[string][]sonicdb.FieldValue), make(map[string]bool)
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		next := pace.C
		if !o.configDone || len(o.todo) == 0 {
			next = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- err // read by the deferred function
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("orchagent: wait for rows: %w", err)
		case <-woken: // the confirmation of the subscription is the first signal
			if err := o.pop(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("orchagent: pop %s: %w", portTable, err)
			}
		case <-next:
			o.makePort(o.todo[0])
			o.todo = o.todo[1:]
			pace.Reset(o.Pace)
		}
	}
}

// connect opens a connection for commands. It returns a second connection, subscribed to the
// table's channel.
func (o *Orchagent) connect(ctx context.Context) (subscription *sonicdb.Conn, err error) {
	if o.conn, err = sonicdb.Dial(ctx, o.ApplDB.Options()); err != nil {
		return nil, err
	}
	if subscription, err = sonicdb.Dial(ctx, o.ApplDB.Options()); err == nil {
		err = subscription.Subscribe(portTable + "_CHANNEL@" + strconv.Itoa(o.ApplDB.ID))
	}
	if err != nil {
		return nil, errors.Join(err, o.conn.Close())
	}
	return subscription, nil
}

// listen sends a signal to woken for each message on the subscription, until the connection ends.
func listen(subscription *sonicdb.Conn, woken chan struct{}) error {
	for {
		if _, err := subscription.ReceiveMessage(); err != nil {
			return err
		}
		signal(woken)
	}
}

func (o *Orchagent) report(step OrchStep, port string, err error) {
	if o.Report != nil {
		o.Report(OrchEvent{step, port, err})
	}
}

// pop pops all pending rows.
func (o *Orchagent) pop() error {
	for {
		o.conn.AppendEval(&popScript, 2, 2)
		for _, word := range []string{portTable + "_KEY_SET", portTable + "_DEL_SET",
			strconv.Itoa(popBatch), portTable + o.ApplDB.Separator} {
			o.conn.String(word)
		}
		if err := o.conn.Flush(); err != nil {
			return err
		}
		reply, err := o.conn.Receive()
		if err != nil {
			return err
		}
		for _, row := range reply.Array {
			if len(row.Array) != 2 {
				return fmt.Errorf("unexpected row: got %s of length %d, want key and fields", row.Kind, len(row.Array))
			}
			o.take(string(row.Array[0].Str), fieldValues(row.Array[1].Array))
		}
		if len(reply.Array) < popBatch {
			return nil
		}
	}
}

func fieldValues(flat []sonicdb.Reply) []sonicdb.FieldValue {
	var fvs []sonicdb.FieldValue
	for i := 0; i+1 < len(flat); i += 2 {
		fvs = append(fvs, sonicdb.FieldValue{Field: string(flat[i].Str), Value: string(flat[i+1].Str)})
	}
	return fvs
}

// take processes a popped row.
func (o *Orchagent) take(key string, row []sonicdb.FieldValue) {
	switch {
	case key == configDone:
		o.configDone = true
		o.report(ConfigDonePopped, "", nil)
	case key == initDone:
		o.report(InitDonePopped, "", nil)
	case len(row) == 0:
		o.deletePort(key)
	default:
		_, known := o.rows[key]
		o.rows[key] = row
		o.report(PortPopped, key, nil)
		if o.made[key] {
			o.configure(key)
		} else if !known {
			o.todo = append(o.todo, key)
		}
	}
}

// deletePort deletes a port and its interface.
func (o *Orchagent) deletePort(port string) {
	delete(o.rows, port)
	for i, p := range o.todo {
		if p == port {
			o.todo = append(o.todo[:i], o.todo[i+1:]...)
			break
		}
	}
	if o.made[port] {
		delete(o.made, port)
		o.report(PortDeleted, port, o.Links.Delete(port))
	}
}

// makePort creates the interface of a port and its peer interface, and brings both up. The port has
// carrier while the peer is up.
func (o *Orchagent) makePort(port string) {
	peer := PeerName(port)
	err := o.Links.AddVeth(port, peer)
	if err == nil {
		o.made[port] = true
		err = o.Links.SetUp(peer, true)
	}
	o.report(PortCreated, port, err)
	if err == nil {
		o.configure(port)
	}
}

// configure sets the MTU and admin state from the port's row, like portmgrd.
func (o *Orchagent) configure(port string) {
	var errs []error
	if text, ok := sonicdb.Lookup(o.rows[port], "mtu"); ok {
		mtu, err := strconv.Atoi(text)
		if err != nil {
			err = fmt.Errorf("invalid mtu %q of port %q: must be a number", text, port)
		} else {
			err = o.Links.SetMTU(port, mtu)
		}
		errs = append(errs, err)
	}
	status, _ := sonicdb.Lookup(o.rows[port], "admin_status")
	errs = append(errs, o.Links.SetUp(port, status == "up"))
	o.report(PortConfigured, port, errors.Join(errs...))
}

// PeerName returns the name of a port's peer: "p4" for Ethernet4.
func PeerName(port string) string {
	const longest = 15 // IFNAMSIZ without the NUL
	name := "p" + strings.TrimPrefix(port, "Ethernet")
	return name[:min(len(name), longest)]
}
