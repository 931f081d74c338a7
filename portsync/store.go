package portsync

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"portsyncd/internal/sonicdb"
)

// Markers reports which markers APPL_DB has or orchagent has still to pop.
type Markers struct{ ConfigDone, InitDone bool }

// Counts are the numbers that orchagent compares in its own warm restart: it starts cold unless
// PortConfigDone announces as many ports as the table has.
type Counts struct {
	Markers   Markers
	Announced int // the count that PortConfigDone announces
	Rows      int // rows of APPL_DB PORT_TABLE without the markers
}

// AuditResult is the result of a comparison of STATE_DB with the ports.
type AuditResult struct {
	Differing []*Port  // rows of STATE_DB that lack a field or have another value
	Stale     []string // rows of interfaces that do not exist, written by portsyncd
	// Rows are the names of all rows of STATE_DB PORT_TABLE.
	Rows map[string]bool

	Counts
}

// Databases are the three databases of a switch, with one connection each. Its methods
// belong to one goroutine. Each makes one or two round trips and ends within the deadline of
// the connection. After an error the connection is unusable, unless it is a
// sonicdb.ServerError.
type Databases struct {
	appl, state, config *sonicdb.Conn
	configLost          func() // called if config fails; nil unless CONFIG_DB has a server of its own

	applTable, stateTable, configTable sonicdb.Table
	producer                           *sonicdb.ProducerStateTable
	metadata, warmEnable, warmState    sonicdb.Table

	applPrefix, statePrefix string // of the keys of PORT_TABLE
	shared                  bool   // APPL_DB and STATE_DB are on one instance
	stateID                 int
	key                     []byte // scratch
}

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

// openDatabases connects to the databases of m. It connects to CONFIG_DB only if needConfig
// is set.
func openDatabases(ctx context.Context, m *sonicdb.Map, needConfig bool) (*Databases, error) {
	return newDatabases(m, needConfig, func(db sonicdb.Database) (*sonicdb.Conn, error) { return dial(ctx, db) })
}

// newDatabases connects to the databases of m by connect.
func newDatabases(m *sonicdb.Map, needConfig bool, connect func(sonicdb.Database) (*sonicdb.Conn, error)) (_ *Databases, err error) {
	d := &Databases{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	appl, err := m.Database("APPL_DB")
	if err == nil {
		d.appl, err = open("APPL_DB", appl, connect)
	}
	if err != nil {
		return nil, err
	}
	state, err := m.Database("STATE_DB")
	if err == nil {
		d.state, err = open("STATE_DB", state, connect)
	}
	if err != nil {
		return nil, err
	}
	config, err := m.Database("CONFIG_DB")
	if err == nil && needConfig {
		d.config, err = open("CONFIG_DB", config, connect)
	}
	if err != nil {
		return nil, err
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

// open connects to a database and waits until the server answers a command: a server that is
// loading its data accepts connections and refuses all commands.
func open(name string, db sonicdb.Database, connect func(sonicdb.Database) (*sonicdb.Conn, error)) (*sonicdb.Conn, error) {
	c, err := connect(db)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	if _, err := c.Do("PING"); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	return c, nil
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

// Facts reads what a start depends on, and writes nothing. A key of the wrong type counts as
// absent and adds an error to PortErrors.
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
		return f, fmt.Errorf("read %s: %w", portInitDone, err)
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

// fields returns the values of the given fields, cut at the first "@". An absent field is "". A
// key of another type counts as absent; fields passes the error to bad.
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
			values[i] = sonicdb.TrimListMark(string(r.Str))
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

// Ports reads the rows of CONFIG_DB PORT, and whether APPL_DB has each with admin_status. Rows
// that cannot be read are in bad.
func (d *Databases) Ports() (ports []PortConfig, bad []error, err error) {
	if d.config == nil {
		return nil, nil, errConfigDown
	}
	ports, bad, err = d.configPorts()
	if err != nil && !isServerError(err) && d.configLost != nil {
		d.config.Close()
		d.config = nil
		d.configLost()
		return nil, nil, fmt.Errorf("%w: %w", errConfigDown, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return ports, bad, d.readAdmin(ports)
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
			row.Fields[j].Field = sonicdb.TrimListMark(row.Fields[j].Field)
		}
		ports = append(ports, PortConfig{Name: name, Fields: row.Fields})
	}
	return ports, bad, nil
}

// readAdmin sets HasAdmin of the ports.
func (d *Databases) readAdmin(ports []PortConfig) error {
	keys := make([]string, len(ports))
	for i := range ports {
		keys[i] = d.applTable.Key(ports[i].Name)
	}
	if len(keys) == 0 {
		return nil
	}
	// After a cold start of the service the table is empty, and one command is enough.
	n, err := d.appl.Exists(keys...)
	if err != nil {
		return fmt.Errorf("read the ports of APPL_DB: %w", err)
	}
	if n == 0 {
		return nil
	}
	for i := range ports {
		d.appl.Send("HEXISTS", keys[i], fieldAdmin)
	}
	if err := d.appl.Flush(); err != nil {
		return fmt.Errorf("read %s of APPL_DB: %w", fieldAdmin, err)
	}
	for i := range ports {
		has, err := d.appl.ReceiveBool()
		if err != nil && !isServerError(err) {
			return fmt.Errorf("read %s of APPL_DB: %w", fieldAdmin, err)
		}
		ports[i].HasAdmin = has
	}
	return nil
}

// SetRestoreCount writes the field restore_count of WARM_RESTART_TABLE|portsyncd.
func (d *Databases) SetRestoreCount(count string) error {
	err := d.state.HSet(d.warmState.Key(daemonName), sonicdb.FieldValue{Field: "restore_count", Value: count})
	if err != nil {
		return fmt.Errorf("write restore_count: %w", err)
	}
	return nil
}

// Produce writes the ports to the producer table for orchagent, and then PortConfigDone. Rows that
// are refused permanently are in skipped; the others and PortConfigDone are written unless err
// is set.
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

// ProduceInitDone writes PortInitDone to the producer table for orchagent.
func (d *Databases) ProduceInitDone() error {
	lanes := sonicdb.FieldValue{Field: "lanes", Value: "0"}
	if err := d.producer.Set(d.appl, portInitDone, []sonicdb.FieldValue{lanes}); err != nil {
		return fmt.Errorf("produce %s: %w", portInitDone, err)
	}
	return nil
}

// Markers reads the table and the key set of the producer table.
func (d *Databases) Markers() (Markers, error) {
	var found [4]bool
	for _, marker := range []string{portConfigDone, portInitDone} {
		d.appl.Send("EXISTS", d.applTable.Key(marker))
		d.appl.Send("SISMEMBER", portTable+"_KEY_SET", marker)
	}
	if err := d.appl.Flush(); err != nil {
		return Markers{}, fmt.Errorf("read the markers of APPL_DB: %w", err)
	}
	var refused error
	for i := range found {
		there, err := d.appl.ReceiveBool()
		switch {
		case sonicdb.Temporary(err):
			refused = err // retry: a marker that counts as absent would be produced a second time
		case err != nil && !isServerError(err):
			return Markers{}, fmt.Errorf("read the markers of APPL_DB: %w", err)
		}
		found[i] = there
	}
	if refused != nil {
		return Markers{}, fmt.Errorf("read the markers of APPL_DB: %w", refused)
	}
	return Markers{ConfigDone: found[0] || found[1], InitDone: found[2] || found[3]}, nil
}

func isServerError(err error) bool {
	_, ok := errors.AsType[sonicdb.ServerError](err)
	return ok
}
