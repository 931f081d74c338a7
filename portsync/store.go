package portsync

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"portsyncd/internal/sonicdb"
)

// Markers records which of the markers PortConfigDone and PortInitDone are in APPL_DB or queued for
// orchagent.
type Markers struct{ ConfigDone, InitDone bool }

// Counts holds the two numbers that orchagent compares during a warm restart: the ports announced
// by PortConfigDone and the ports in PORT_TABLE. If they differ, orchagent performs a cold start.
type Counts struct {
	Markers   Markers
	Announced int // number of ports announced by PortConfigDone
	Rows      int // number of rows in APPL_DB PORT_TABLE, excluding the markers
}

// AuditResult is the result of comparing STATE_DB with the ports.
type AuditResult struct {
	Differing []*Port  // ports whose row in STATE_DB lacks a field or has a wrong value
	Stale     []string // rows written by portsyncd whose interface does not exist
	// Rows holds the names of all rows of STATE_DB PORT_TABLE.
	Rows map[string]bool

	Counts
}

// Databases provides access to APPL_DB, STATE_DB and CONFIG_DB, with one connection each. Its
// methods must be called from one goroutine. Each method makes one or two round trips and returns
// within the connection's timeout. After an error the connection is unusable, unless the error is a
// sonicdb.ServerError.
type Databases struct {
	appl, state, config *sonicdb.Conn
	configLost          func() // called if config fails; nil unless CONFIG_DB has a server of its own

	applTable, stateTable, configTable sonicdb.Table
	producer                           *sonicdb.ProducerStateTable
	metadata, warmEnable, warmState    sonicdb.Table

	applPrefix, statePrefix string // key prefixes of PORT_TABLE
	shared                  bool   // APPL_DB and STATE_DB are on the same Redis instance
	stateID                 int
	key                     []byte // scratch
}

// Names of tables and rows, as in common/schema.h of sonic-swss-common.
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

// openDatabases connects to the databases of m. It connects to CONFIG_DB only if needConfig is set.
func openDatabases(ctx context.Context, m *sonicdb.Map, needConfig bool) (*Databases, error) {
	return newDatabases(m, needConfig, func(db sonicdb.Database) (*sonicdb.Conn, error) { return beginDial(ctx, db) })
}

// newDatabases is like openDatabases but connects with the given function. All connections are
// requested before the first reply is received.
func newDatabases(m *sonicdb.Map, needConfig bool, connect func(sonicdb.Database) (*sonicdb.Conn, error)) (_ *Databases, err error) {
	d := &Databases{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	appl, err := m.Database("APPL_DB")
	if err == nil {
		d.appl, err = connectTo("APPL_DB", appl, connect)
	}
	if err != nil {
		return nil, err
	}
	state, err := m.Database("STATE_DB")
	if err == nil {
		d.state, err = connectTo("STATE_DB", state, connect)
	}
	if err != nil {
		return nil, err
	}
	config, err := m.Database("CONFIG_DB")
	if err == nil && needConfig {
		d.config, err = connectTo("CONFIG_DB", config, connect)
	}
	if err != nil {
		return nil, err
	}
	if err = complete("APPL_DB", d.appl); err == nil {
		err = complete("STATE_DB", d.state)
	}
	if err == nil && d.config != nil {
		err = complete("CONFIG_DB", d.config)
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

// connectTo connects to a database.
func connectTo(name string, db sonicdb.Database, connect func(sonicdb.Database) (*sonicdb.Conn, error)) (*sonicdb.Conn, error) {
	c, err := connect(db)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	return c, nil
}

// complete waits until the server of a database accepts commands.
func complete(name string, c *sonicdb.Conn) error {
	if err := c.Complete(); err != nil {
		return fmt.Errorf("connect to %s: %w", name, err)
	}
	return nil
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

// Facts reads the values on which the start decision depends. It writes nothing. A key of the wrong
// type is treated as absent and its error is added to PortErrors. The requests that do not depend
// on each other are sent together.
func (d *Databases) Facts() (Facts, error) {
	var f Facts
	bad := func(err error) { f.PortErrors = append(f.PortErrors, err) }
	inConfig := []hashField{{d.metadata.Key("localhost"), "switch_type"}}
	inState := []hashField{
		{d.warmEnable.Key("system"), "enable"},
		{d.warmEnable.Key("swss"), "enable"},
		{d.warmState.Key(daemonName), "restore_count"},
	}
	sendFields(d.config, inConfig)
	d.config.Send("KEYS", d.configTable.Pattern())
	sendFields(d.state, inState)
	d.appl.Send("EXISTS", d.applTable.Key(portInitDone))
	for _, c := range []*sonicdb.Conn{d.config, d.state, d.appl} {
		if err := c.Flush(); err != nil {
			return f, fmt.Errorf("read the start conditions: %w", err)
		}
	}
	// All replies are received, even after an error reply: each one belongs to its request.
	config, err := receiveFields(d.config, bad, inConfig)
	keys, keysErr := d.config.ReceiveKeys()
	if keysErr != nil {
		keysErr = fmt.Errorf("list the ports in CONFIG_DB: %w", keysErr)
	}
	state, stateErr := receiveFields(d.state, bad, inState)
	initDone, applErr := d.appl.ReceiveBool()
	if applErr != nil {
		applErr = fmt.Errorf("read %s: %w", portInitDone, applErr)
	}
	if err := firstFault(err, stateErr, applErr, keysErr); err != nil {
		return f, err
	}
	f.SwitchType = config[0]
	f.WarmEnabled = state[0] == "true" || state[1] == "true"
	f.RestoreCount = state[2]
	f.InitDone = initDone
	ports, errs, err := d.readPorts(keys)
	if err == nil {
		err = d.readAdmin(ports)
	}
	if err != nil {
		return f, err
	}
	f.Ports, f.PortErrors = ports, append(f.PortErrors, errs...)
	return f, nil
}

// firstFault returns the first error that makes its connection unusable, or otherwise the first
// error.
func firstFault(errs ...error) (first error) {
	for _, err := range errs {
		if err != nil && (first == nil || isServerError(first) && !isServerError(err)) {
			first = err
		}
	}
	return first
}

// hashField identifies one field of one row.
type hashField struct{ key, field string }

// sendFields requests the given fields.
func sendFields(c *sonicdb.Conn, wanted []hashField) {
	for _, w := range wanted {
		c.Send("HGET", w.key, w.field)
	}
}

// receiveFields returns the values that sendFields requested, truncated at the first "@". The value
// of an absent field is "". A key of another type is treated as absent, and its error is passed to
// bad.
func receiveFields(c *sonicdb.Conn, bad func(error), wanted []hashField) ([]string, error) {
	values := make([]string, len(wanted))
	var refused error
	for i, w := range wanted {
		r, err := c.Receive()
		switch {
		case err == nil:
			values[i] = sonicdb.TrimListMark(string(r.Str))
			continue
		case !isServerError(err):
			return nil, fmt.Errorf("read %s of %q: %w", w.field, w.key, err)
		case !sonicdb.AboutKey(err):
			refused = fmt.Errorf("read %s of %q: %w", w.field, w.key, err)
		default:
			bad(fmt.Errorf("read %s of %q: %w", w.field, w.key, err))
		}
	}
	return values, refused
}

// Ports returns the rows of the CONFIG_DB table PORT and determines for each whether APPL_DB has it
// with admin_status. Errors of rows that cannot be read are returned in bad.
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

// configPorts reads the rows of the CONFIG_DB table PORT.
func (d *Databases) configPorts() (ports []PortConfig, bad []error, err error) {
	keys, err := d.config.Keys(d.configTable.Pattern())
	if err != nil {
		return nil, nil, fmt.Errorf("list the ports in CONFIG_DB: %w", err)
	}
	return d.readPorts(keys)
}

// readPorts reads the rows of the CONFIG_DB table PORT with the given keys.
func (d *Databases) readPorts(keys []string) (ports []PortConfig, bad []error, err error) {
	rows, err := d.config.HGetAllMany(keys)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ports in CONFIG_DB: %w", err)
	}
	ports = make([]PortConfig, 0, len(rows))
	for i, row := range rows {
		name, ok := d.configTable.KeyOf(keys[i])
		switch {
		case !ok:
			continue
		case sonicdb.AboutKey(row.Err):
			bad = append(bad, fmt.Errorf("read %q in CONFIG_DB: %w", keys[i], row.Err))
			continue
		case row.Err != nil:
			return nil, nil, fmt.Errorf("read %q in CONFIG_DB: %w", keys[i], row.Err)
		case len(row.Fields) == 0:
			continue // deleted after the keys were listed
		}
		for j := range row.Fields {
			row.Fields[j].Field = sonicdb.TrimListMark(row.Fields[j].Field)
		}
		ports = append(ports, PortConfig{Name: name, Fields: row.Fields})
	}
	return ports, bad, nil
}

// readAdmin sets HasAdmin of ports.
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
		return fmt.Errorf("read the ports in APPL_DB: %w", err)
	}
	if n == 0 {
		return nil
	}
	for i := range ports {
		d.appl.Send("HEXISTS", keys[i], fieldAdmin)
	}
	if err := d.appl.Flush(); err != nil {
		return fmt.Errorf("read %s in APPL_DB: %w", fieldAdmin, err)
	}
	var refused error
	for i := range ports {
		has, err := d.appl.ReceiveBool()
		switch {
		case err != nil && !isServerError(err):
			return fmt.Errorf("read %s in APPL_DB: %w", fieldAdmin, err)
		case err != nil && !sonicdb.AboutKey(err):
			refused = fmt.Errorf("read %s in APPL_DB: %w", fieldAdmin, err)
		}
		ports[i].HasAdmin = has
	}
	return refused
}

// SetRestoreCount writes the field restore_count of WARM_RESTART_TABLE|portsyncd.
func (d *Databases) SetRestoreCount(count string) error {
	err := d.state.HSet(d.warmState.Key(daemonName), sonicdb.FieldValue{Field: "restore_count", Value: count})
	if err != nil {
		return fmt.Errorf("write restore_count: %w", err)
	}
	return nil
}

// Produce writes the ports and then PortConfigDone to the producer table for orchagent. Errors of
// rows that are refused permanently are returned in skipped and do not prevent the other writes. If
// err is not nil, the writes are incomplete.
func (d *Databases) Produce(ports []PortConfig) (skipped, err error) {
	rows := make([]sonicdb.Row, len(ports))
	for i, p := range ports {
		rows[i] = sonicdb.Row{Key: p.Name, Fields: p.Fields}
	}
	if skipped = d.producer.SetMany(d.appl, rows); skipped != nil {
		skipped = fmt.Errorf("write the ports to the producer table: %w", skipped)
		if !sonicdb.AboutKey(skipped) {
			return nil, skipped
		}
	}
	count := sonicdb.FieldValue{Field: "count", Value: strconv.Itoa(len(ports))}
	if err := d.producer.Set(d.appl, portConfigDone, []sonicdb.FieldValue{count}); err != nil {
		return skipped, fmt.Errorf("write %s to the producer table: %w", portConfigDone, err)
	}
	return skipped, nil
}

// ProduceInitDone writes PortInitDone to the producer table for orchagent.
func (d *Databases) ProduceInitDone() error {
	lanes := sonicdb.FieldValue{Field: "lanes", Value: "0"}
	if err := d.producer.Set(d.appl, portInitDone, []sonicdb.FieldValue{lanes}); err != nil {
		return fmt.Errorf("write %s to the producer table: %w", portInitDone, err)
	}
	return nil
}

// Markers reads the markers from the table and from the key set of the producer table.
func (d *Databases) Markers() (Markers, error) {
	var found [4]bool
	for _, marker := range []string{portConfigDone, portInitDone} {
		d.appl.Send("EXISTS", d.applTable.Key(marker))
		d.appl.Send("SISMEMBER", portTable+"_KEY_SET", marker)
	}
	if err := d.appl.Flush(); err != nil {
		return Markers{}, fmt.Errorf("read the markers in APPL_DB: %w", err)
	}
	var refused error
	for i := range found {
		there, err := d.appl.ReceiveBool()
		switch {
		case err != nil && !isServerError(err):
			return Markers{}, fmt.Errorf("read the markers in APPL_DB: %w", err)
		case err != nil && !sonicdb.AboutKey(err):
			refused = err // return an error: a marker treated as absent would be written a second time
		}
		found[i] = there
	}
	if refused != nil {
		return Markers{}, fmt.Errorf("read the markers in APPL_DB: %w", refused)
	}
	return Markers{ConfigDone: found[0] || found[1], InitDone: found[2] || found[3]}, nil
}

func isServerError(err error) bool {
	_, ok := errors.AsType[sonicdb.ServerError](err)
	return ok
}
