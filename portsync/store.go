package portsync

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"portsyncd/internal/sonicdb"
)

// Store is what the loop needs of the switch's databases. Its methods belong to
// the loop's goroutine; each is one or two round trips and ends within the
// connection's deadline. An error means that the connection is of no more use,
// unless it is a sonicdb.ServerError.
type Store interface {
	// Facts reads what a start depends on and writes nothing.
	Facts() (Facts, error)
	// SetRestoreCount writes WARM_RESTART_TABLE|portsyncd.
	SetRestoreCount(count string) error
	// Ports reads CONFIG_DB PORT; rows that cannot be read are in the errors.
	Ports() ([]PortConfig, []error, error)
	// Produce hands all ports over to orchagent, PortConfigDone last.
	Produce(ports []PortConfig) (skipped, err error)
	// ProduceInitDone hands PortInitDone over.
	ProduceInitDone() error
	// Markers says which markers APPL_DB has, or orchagent has still to pop.
	Markers() (Markers, error)
	// Publish carries out what is wanted of each port and answers it.
	Publish(ports []*Port) error
	// Count reads what orchagent's own warm restart depends on.
	Count() (Counts, error)
	// Compare answers those of the ports whose row is what is wanted already, and
	// leaves the others Failed.
	Compare(ports []*Port) error
	// Audit compares STATE_DB with the ports; see AuditResult.
	Audit(ports []*Port, exists func(name string) bool) (AuditResult, error)
	// Close closes the connections.
	Close() error
}

// Markers says how far the hand-over to orchagent went.
type Markers struct{ ConfigDone, InitDone bool }

// Counts is what decides on orchagent's own warm restart: it starts cold when
// PortConfigDone does not announce as many ports as the table has.
type Counts struct {
	Markers   Markers
	Announced int // the count that PortConfigDone announces
	Rows      int // rows of APPL_DB PORT_TABLE without the markers
}

// AuditResult is what a comparison found.
type AuditResult struct {
	Differing []*Port  // rows of STATE_DB that lack a field or have another value
	Stale     []string // rows of interfaces that do not exist, written by portsyncd
	// Rows are the names of all rows of STATE_DB PORT_TABLE.
	Rows map[string]bool

	Counts
}

// Databases are the three databases of a switch with one connection each.
type Databases struct {
	appl, state, config *sonicdb.Conn
	configLost          func() // CONFIG_DB has a server of its own, and config failed; nil if it has none

	applTable, stateTable, configTable sonicdb.Table
	producer                           *sonicdb.ProducerStateTable
	metadata, warmEnable, warmState    sonicdb.Table

	applPrefix, statePrefix string // of the keys of PORT_TABLE
	shared                  bool   // APPL_DB and STATE_DB are of one instance
	stateID                 int
	key                     []byte // scratch
}

var _ Store = (*Databases)(nil)

// Names of the tables and rows, as sonic-swss-common common/schema.h spells them.
const (
	portTable        = "PORT_TABLE"
	portConfigDone   = "PortConfigDone"
	portInitDone     = "PortInitDone"
	daemonName       = "portsyncd"
	fieldState       = "state"
	fieldOper        = "netdev_oper_status"
	fieldAdmin       = "admin_status"
	fieldMTU         = "mtu"
	valueOK          = "ok"
	valueUp          = "up"
	valueDown        = "down"
	warmRestartTable = "WARM_RESTART_TABLE"
)

// OpenDatabases connects to APPL_DB, STATE_DB and CONFIG_DB where the map says
// they are.
func OpenDatabases(ctx context.Context, m *sonicdb.Map) (*Databases, error) {
	return openDatabases(ctx, m, true)
}

// openDatabases is OpenDatabases, without a connection to CONFIG_DB unless it is
// needed.
func openDatabases(ctx context.Context, m *sonicdb.Map, needConfig bool) (_ *Databases, err error) {
	d := &Databases{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	appl, c, err := open(ctx, m, "APPL_DB")
	if err != nil {
		return nil, err
	}
	d.appl = c
	state, c, err := open(ctx, m, "STATE_DB")
	if err != nil {
		return nil, err
	}
	d.state = c
	config, err := m.Database("CONFIG_DB")
	if err != nil {
		return nil, err
	}
	if needConfig {
		if _, d.config, err = open(ctx, m, "CONFIG_DB"); err != nil {
			return nil, err
		}
	}

	d.applTable = sonicdb.NewTable(appl, portTable)
	d.stateTable = sonicdb.NewTable(state, portTable)
	d.configTable = sonicdb.NewTable(config, "PORT")
	d.metadata = sonicdb.NewTable(config, "DEVICE_METADATA")
	d.warmEnable = sonicdb.NewTable(state, "WARM_RESTART_ENABLE_TABLE")
	d.warmState = sonicdb.NewTable(state, warmRestartTable)
	d.producer = sonicdb.NewProducerStateTable(appl, portTable)
	d.applPrefix, d.statePrefix = d.applTable.Key(""), d.stateTable.Key("")
	d.shared = appl.Instance.Same(state.Instance)
	d.stateID = state.ID
	return d, nil
}

func open(ctx context.Context, m *sonicdb.Map, name string) (sonicdb.Database, *sonicdb.Conn, error) {
	db, err := m.Database(name)
	if err != nil {
		return db, nil, err
	}
	c, err := dial(ctx, db)
	if err != nil {
		return db, nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	// A server that is loading its data takes connections and refuses whatever
	// comes over them. It is of use only once it answers.
	if _, err := c.Do("PING"); err != nil {
		c.Close()
		return db, nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	return db, c, nil
}

// Close closes the connections that were opened.
func (d *Databases) Close() error {
	var errs []error
	for _, c := range []*sonicdb.Conn{d.appl, d.state, d.config} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Facts reads what a start depends on. A row of the wrong type counts as absent
// and is reported among the PortErrors.
func (d *Databases) Facts() (Facts, error) {
	var f Facts
	bad := func(err error) { f.PortErrors = append(f.PortErrors, err) }

	config, err := fields(d.config, bad, hashField{d.metadata.Key("localhost"), "switch_type"})
	if err != nil {
		return f, err
	}
	state, err := fields(d.state, bad,
		hashField{d.warmEnable.Key("system"), "enable"},
		hashField{d.warmEnable.Key("swss"), "enable"},
		hashField{d.warmState.Key(daemonName), "restore_count"})
	if err != nil {
		return f, err
	}
	f.SwitchType = config[0]
	f.WarmEnabled = state[0] == "true" || state[1] == "true"
	f.RestoreCount = state[2]
	n, err := d.appl.Exists(d.applTable.Key(portInitDone))
	if err != nil {
		return f, fmt.Errorf("look for %s: %w", portInitDone, err)
	}
	f.InitDone = n > 0
	ports, errs, err := d.Ports()
	if err != nil {
		return f, err
	}
	f.Ports, f.PortErrors = ports, append(f.PortErrors, errs...)
	return f, nil
}

// hashField is one field of one row.
type hashField struct{ key, field string }

// fields reads values that the daemon uses itself, cut at a first "@"; "" stands
// for absent, and for a row of another type, which bad is told of.
func fields(c *sonicdb.Conn, bad func(error), wanted ...hashField) ([]string, error) {
	for _, w := range wanted {
		c.Send("HGET", w.key, w.field)
	}
	if err := c.Flush(); err != nil {
		return nil, fmt.Errorf("read %q: %w", wanted[0].key, err)
	}
	values := make([]string, len(wanted))
	var temporary error
	for i, w := range wanted {
		r, err := c.Receive()
		switch {
		case err == nil:
			values[i] = sonicdb.Unlist(string(r.Str))
			continue
		case !isServerError(err):
			return nil, fmt.Errorf("read %s of %q: %w", w.field, w.key, err)
		case sonicdb.Temporary(err):
			temporary = fmt.Errorf("read %s of %q: %w", w.field, w.key, err)
		default:
			bad(fmt.Errorf("read %s of %q: %w", w.field, w.key, err))
		}
	}
	return values, temporary
}

// Ports reads the rows of CONFIG_DB PORT and whether APPL_DB has them with
// admin_status already.
func (d *Databases) Ports() (ports []PortConfig, bad []error, err error) {
	if d.config == nil {
		return nil, nil, errConfigAway
	}
	ports, bad, err = d.configPorts()
	if err != nil && !isServerError(err) && d.configLost != nil {
		d.config.Close()
		d.config = nil
		d.configLost()
		return nil, nil, fmt.Errorf("%w: %w", errConfigAway, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return ports, bad, d.lookAdmin(ports)
}

// configPorts reads the rows of CONFIG_DB PORT.
func (d *Databases) configPorts() (ports []PortConfig, bad []error, err error) {
	keys, err := d.config.Keys(d.configTable.Pattern())
	if err != nil {
		return nil, nil, fmt.Errorf("list the ports of CONFIG_DB: %w", err)
	}
	rows, err := d.config.HGetAllMany(keys)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ports of CONFIG_DB: %w", err)
	}
	for i, row := range rows {
		name, ok := d.configTable.KeyOf(keys[i])
		switch {
		case !ok:
			continue
		case row.Err != nil:
			bad = append(bad, fmt.Errorf("read %q of CONFIG_DB: %w", keys[i], row.Err))
			continue
		case len(row.Fields) == 0:
			continue // deleted since the list was taken
		}
		for j := range row.Fields {
			row.Fields[j].Field = sonicdb.Unlist(row.Fields[j].Field)
		}
		ports = append(ports, PortConfig{Name: name, Fields: row.Fields})
	}
	return ports, bad, nil
}

// lookAdmin notes which ports have the field admin_status in APPL_DB.
func (d *Databases) lookAdmin(ports []PortConfig) error {
	keys := make([]string, len(ports))
	for i := range ports {
		keys[i] = d.applTable.Key(ports[i].Name)
	}
	if len(keys) == 0 {
		return nil
	}
	// A cold start of the service has emptied the table: mostly this one question
	// is all.
	n, err := d.appl.Exists(keys...)
	if err != nil {
		return fmt.Errorf("look for the ports in APPL_DB: %w", err)
	}
	if n == 0 {
		return nil
	}
	for i := range ports {
		d.appl.Send("HEXISTS", keys[i], fieldAdmin)
	}
	if err := d.appl.Flush(); err != nil {
		return fmt.Errorf("look for %s in APPL_DB: %w", fieldAdmin, err)
	}
	for i := range ports {
		has, err := d.appl.ReceiveBool()
		if err != nil && !isServerError(err) {
			return fmt.Errorf("look for %s in APPL_DB: %w", fieldAdmin, err)
		}
		ports[i].HasAdmin = has
	}
	return nil
}

// SetRestoreCount writes the field restore_count and leaves the others.
func (d *Databases) SetRestoreCount(count string) error {
	err := d.state.HSet(d.warmState.Key(daemonName), sonicdb.FieldValue{Field: "restore_count", Value: count})
	if err != nil {
		return fmt.Errorf("write restore_count: %w", err)
	}
	return nil
}

// Produce hands the ports over to orchagent and then says that these are all. A
// refusal that is not temporary concerns single rows: skipped
// names them; the others are handed over, and so is PortConfigDone, unless err says
// otherwise.
func (d *Databases) Produce(ports []PortConfig) (skipped, err error) {
	rows := make([]sonicdb.Row, len(ports))
	for i, p := range ports {
		rows[i] = sonicdb.Row{Key: p.Name, Fields: p.Fields}
	}
	if skipped = d.producer.SetMany(d.appl, rows); skipped != nil {
		skipped = fmt.Errorf("produce the ports: %w", skipped)
		if !isServerError(skipped) || sonicdb.Temporary(skipped) {
			return nil, skipped
		}
	}
	count := sonicdb.FieldValue{Field: "count", Value: strconv.Itoa(len(ports))}
	if err := d.producer.Set(d.appl, portConfigDone, []sonicdb.FieldValue{count}); err != nil {
		return skipped, fmt.Errorf("produce %s: %w", portConfigDone, err)
	}
	return skipped, nil
}

// ProduceInitDone hands PortInitDone over to orchagent.
func (d *Databases) ProduceInitDone() error {
	lanes := sonicdb.FieldValue{Field: "lanes", Value: "0"}
	if err := d.producer.Set(d.appl, portInitDone, []sonicdb.FieldValue{lanes}); err != nil {
		return fmt.Errorf("produce %s: %w", portInitDone, err)
	}
	return nil
}

// Markers looks in the table and in the key set of what is still to be popped.
func (d *Databases) Markers() (Markers, error) {
	var found [4]bool
	for _, marker := range []string{portConfigDone, portInitDone} {
		d.appl.Send("EXISTS", d.applTable.Key(marker))
		d.appl.Send("SISMEMBER", portTable+"_KEY_SET", marker)
	}
	if err := d.appl.Flush(); err != nil {
		return Markers{}, fmt.Errorf("look for the markers in APPL_DB: %w", err)
	}
	var refused error
	for i := range found {
		there, err := d.appl.ReceiveBool()
		switch {
		case sonicdb.Temporary(err):
			refused = err // to be asked again: a marker taken for absent is produced a second time
		case err != nil && !isServerError(err):
			return Markers{}, fmt.Errorf("look for the markers in APPL_DB: %w", err)
		}
		found[i] = there
	}
	if refused != nil {
		return Markers{}, fmt.Errorf("look for the markers in APPL_DB: %w", refused)
	}
	return Markers{ConfigDone: found[0] || found[1], InitDone: found[2] || found[3]}, nil
}

func isServerError(err error) bool {
	_, ok := errors.AsType[sonicdb.ServerError](err)
	return ok
}
