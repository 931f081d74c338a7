package model

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"portsyncd/internal/switchtest"
)

// The model implements docs/PROTOCOL.md, with the corrections that it asks for, and the invariants
// of ARCHITECTURE.md, on plain maps. It has no time and no I/O, and shares no code with package
// portsync: if both agree on a random history, both are right or both authors misread the same
// sentence.

// modelTable is a database: fields by key. A set is a row whose members are its fields, a string
// is jammedRow.
type modelTable map[string]map[string]string

// modelLink is an interface as the kernel describes it.
type modelLink struct {
	name        string
	admin, oper bool
	mtu         int
}

// modelMessage is a link message of any address family, RTM_NEWLINK or RTM_DELLINK. Its state is
// read from the kernel after the last of several messages.
type modelMessage struct {
	deleted  bool
	index    int32
	name     string
	enslaved bool // it carries a master
}

// modelDaemon is the state of a running daemon.
type modelDaemon struct {
	existing   map[int32]string // interfaces Ethernet... when it was started
	old        map[int32]string // those of an earlier run, to be ignored
	known      map[int32]string // interfaces by the last known name
	ports      modelTable       // CONFIG_DB's ports as last read, by name
	configDone bool             // the daemon has produced PortConfigDone
	pending    map[string]bool  // ports that PortInitDone waits for
	initDone   bool
	accepted   map[string]bool      // at the last message APPL_DB had the port
	toRecheck  map[string]bool      // accepted until a database was lost, and not since
	reproduced map[string]bool      // produced again, and not accepted since
	rejected   map[string]bool      // the row could not be written
	rows       map[string]bool      // names whose row the daemon has written or found, and not deleted
	wrote      map[string]modelLink // what the daemon last wrote into each row
	swept      bool                 // STATE_DB has no rows of an earlier run, except unsure ones
	unsure     map[string]bool      // names whose row an earlier run may have written
	expected   map[string]bool      // names that were added to CONFIG_DB and had no interface since
	wasThere   map[string]bool      // names that had a row, or that orchagent had set up before the start
}

// present counts the interfaces that have a row as far as the daemon can know.
func (m *switchModel) present() (n int) {
	for _, name := range m.daemon.known {
		if m.daemon.rows[name] {
			n++
		}
	}
	return n
}

// switchModel is a switch: its databases, its interfaces, and the daemon if one runs.
type switchModel struct {
	db    map[string]modelTable
	links map[int32]modelLink // as last read by the test
	up    map[int32]bool      // the expected administrative state
	// deleted has the rows of STATE_DB that the daemon had to delete, if they existed.
	// The test clears it.
	deleted map[string]bool
	// sweeping: a missing interface is noticed at once, not at the end.
	sweeping bool
	daemon   *modelDaemon
}

// jammedRow stands for a string in place of a row. It can be deleted, but not written to.
var jammedRow = map[string]string{"a string": ""}

func newSwitchModel() *switchModel {
	m := &switchModel{links: make(map[int32]modelLink), up: make(map[int32]bool), deleted: make(map[string]bool)}
	m.db = map[string]modelTable{"APPL_DB": {}, "CONFIG_DB": {}, "STATE_DB": {}}
	return m
}

// cloneDB copies the databases.
func (m *switchModel) cloneDB() map[string]modelTable {
	all := make(map[string]modelTable)
	for name, t := range m.db {
		all[name] = make(modelTable)
		for key, fields := range t {
			all[name][key] = maps.Clone(fields)
		}
	}
	return all
}

// clone copies the model.
func (m *switchModel) clone() *switchModel {
	c := *m
	c.db, c.links, c.up, c.deleted = m.cloneDB(), maps.Clone(m.links), maps.Clone(m.up), maps.Clone(m.deleted)
	if m.daemon != nil {
		d := *m.daemon
		d.old, d.known, d.pending = maps.Clone(d.old), maps.Clone(d.known), maps.Clone(d.pending)
		d.accepted, d.toRecheck, d.reproduced, d.rejected = maps.Clone(d.accepted), maps.Clone(d.toRecheck), maps.Clone(d.reproduced), maps.Clone(d.rejected)
		d.rows, d.wasThere, d.wrote, d.expected = maps.Clone(d.rows), maps.Clone(d.wasThere), maps.Clone(d.wrote), maps.Clone(d.expected)
		d.unsure = maps.Clone(d.unsure)
		c.daemon = &d
	}
	return &c
}

// set is HSET. It reports whether the row can be written.
func (t modelTable) set(key string, fields map[string]string) bool {
	if t.jammed(key) {
		return false
	}
	if t[key] == nil {
		t[key] = make(map[string]string)
	}
	maps.Copy(t[key], fields)
	return true
}

func (t modelTable) jammed(key string) bool { return maps.Equal(t[key], jammedRow) }

// hdel is HDEL of one field.
func (t modelTable) hdel(key, field string) {
	delete(t[key], field)
	if len(t[key]) == 0 {
		delete(t, key)
	}
}

// produce is the set operation of a ProducerStateTable (docs/PROTOCOL.md section 4).
func (m *switchModel) produce(key string, fields map[string]string) {
	m.db["APPL_DB"].set(switchtest.PendingPrefix+key, fields)
	m.db["APPL_DB"].set(switchtest.KeySet, map[string]string{key: ""})
}

// pop is orchagent's part of docs/PROTOCOL.md section 4.
func (m *switchModel) pop() {
	appl := m.db["APPL_DB"]
	for key := range appl[switchtest.KeySet] {
		if fields := appl[switchtest.PendingPrefix+key]; len(fields) > 0 {
			appl.set(switchtest.ApplPort+key, fields)
		}
		delete(appl, switchtest.PendingPrefix+key)
	}
	delete(appl, switchtest.KeySet)
}

// exec is the start of the process, which receives messages from then on.
func (m *switchModel) exec() {
	d := &modelDaemon{existing: make(map[int32]string), old: make(map[int32]string), known: make(map[int32]string),
		pending: make(map[string]bool), accepted: make(map[string]bool), toRecheck: make(map[string]bool), reproduced: make(map[string]bool), rejected: make(map[string]bool), unsure: make(map[string]bool), rows: make(map[string]bool), wasThere: make(map[string]bool), wrote: make(map[string]modelLink), expected: make(map[string]bool)}
	for index, l := range m.links {
		if strings.HasPrefix(l.name, "Ethernet") {
			d.existing[index] = l.name
		}
	}
	m.daemon = d
}

// Start is docs/PROTOCOL.md section 5 from the first connection on. queued are the messages since
// exec.
func (m *switchModel) Start(queued []modelMessage) {
	d, appl, config, state := m.daemon, m.db["APPL_DB"], m.db["CONFIG_DB"], m.db["STATE_DB"]
	logger := config["LOGGER|portsyncd"]
	if level, output := logger["LOGLEVEL"], logger["LOGOUTPUT"]; level == "" || output == "" {
		config.set("LOGGER|portsyncd", map[string]string{
			"LOGLEVEL": orElse(level, "NOTICE"), "LOGOUTPUT": orElse(output, "SYSLOG")})
	}

	// docs/PROTOCOL.md section 7, with D12.
	enabled := state["WARM_RESTART_ENABLE_TABLE|system"]["enable"] == "true" ||
		state["WARM_RESTART_ENABLE_TABLE|swss"]["enable"] == "true"
	count, err := strconv.ParseUint(state["WARM_RESTART_TABLE|portsyncd"]["restore_count"], 10, 32)
	warm := enabled && err == nil
	restoreCount := "0"
	if warm {
		restoreCount = strconv.FormatUint(count+1, 10)
	}
	state.set("WARM_RESTART_TABLE|portsyncd", map[string]string{"restore_count": restoreCount})

	// D5 and D6: this is decided before anything is produced.
	alone := appl[switchtest.ApplPort+switchtest.InitDone] != nil
	d.ports = m.configured()
	for name := range d.ports {
		_, shown := appl[switchtest.ApplPort+name]["admin_status"]
		d.pending[name] = warm || !shown
		d.wasThere[name] = shown
	}
	maps.DeleteFunc(d.pending, func(_ string, is bool) bool { return !is })
	if !warm {
		m.produceAll()
	}
	if !warm && !alone && config["DEVICE_METADATA|localhost"]["switch_type"] != "dpu" {
		d.old = maps.Clone(d.existing) // section 6
		for index := range d.old {
			m.up[index] = false
		}
	}
	d.swept = !warm && !alone
	m.receive(queued)
	m.dump(warm || alone) // D9
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// configured returns the rows of CONFIG_DB's PORT table as the daemon copies them
// (docs/PROTOCOL.md section 3).
func (m *switchModel) configured() modelTable {
	ports := make(modelTable)
	for key, fields := range m.db["CONFIG_DB"] {
		name, isPort := strings.CutPrefix(key, switchtest.ConfigPort)
		if !isPort {
			continue
		}
		ports[name] = make(map[string]string)
		for field, value := range fields {
			field, _, _ = strings.Cut(field, "@")
			ports[name][field] = value
		}
	}
	return ports
}

func (m *switchModel) produceAll() {
	for name, fields := range m.daemon.ports {
		m.produce(name, fields)
	}
	m.daemon.configDone = true
	m.produce(switchtest.ConfigDone, map[string]string{"count": strconv.Itoa(len(m.daemon.ports))})
}

// receive processes messages in their order (docs/PROTOCOL.md section 8).
func (m *switchModel) receive(messages []modelMessage) {
	for _, msg := range messages {
		switch {
		case !msg.deleted:
			m.newLink(msg.index, msg.name)
		case !msg.enslaved: // the interface left a bridge, or another message follows
			m.delLink(msg.index, msg.name)
		}
	}
	if len(messages) > 0 {
		m.checkInitDone()
	}
}

func (m *switchModel) newLink(index int32, name string) {
	d := m.daemon
	if _, old := d.old[index]; old {
		d.old[index] = name
		return
	}
	if former, ok := d.known[index]; ok && former != name {
		m.linkGone(index) // D7
	}
	if !switchtest.IsPortName(name) {
		return
	}
	for other, n := range d.known {
		if n == name && other != index {
			m.linkGone(other) // made again, and the deletion was lost (D1)
		}
	}
	if d.known[index] != name {
		delete(d.expected, name)
	}
	d.known[index] = name
	m.report(index, name)
}

// report is test 6 of docs/PROTOCOL.md section 8: the row in APPL_DB is looked up now.
func (m *switchModel) report(index int32, name string) {
	d := m.daemon
	delete(d.rejected, name)
	if m.db["APPL_DB"][switchtest.ApplPort+name] == nil {
		delete(d.accepted, name)
		return
	}
	l := m.links[index]
	if !m.db["STATE_DB"].set(switchtest.StatePort+name, map[string]string{"state": "ok", "admin_status": switchtest.UpOrDown(l.admin),
		"netdev_oper_status": switchtest.UpOrDown(l.oper), "mtu": strconv.Itoa(l.mtu)}) {
		d.rejected[name] = true // D4
		delete(d.rows, name)
		return
	}
	d.accepted[name], d.rows[name], d.wasThere[name], d.wrote[name] = true, true, true, l
	for _, set := range []map[string]bool{d.toRecheck, d.reproduced, d.pending, d.unsure} {
		delete(set, name)
	}
}

func (m *switchModel) delLink(index int32, name string) {
	d := m.daemon
	if _, old := d.old[index]; old {
		delete(d.old, index) // D8
		if m.sweeping {
			m.sweep()
		}
		return
	}
	if _, known := d.known[index]; known {
		m.linkGone(index)
	}
	if switchtest.IsPortName(name) {
		m.deleteRow(switchtest.StatePort + name)
	}
}

// deleteRow deletes a row of STATE_DB, visible to subscribers.
func (m *switchModel) deleteRow(key string) {
	m.deleted[key] = true
	delete(m.db["STATE_DB"], key)
}

// linkGone forgets an interface and deletes its row.
func (m *switchModel) linkGone(index int32) {
	d := m.daemon
	name := d.known[index]
	delete(d.known, index)
	for _, set := range []map[string]bool{d.accepted, d.toRecheck, d.rejected, d.rows, d.unsure} {
		delete(set, name)
	}
	m.deleteRow(switchtest.StatePort + name)
}

// checkInitDone is docs/PROTOCOL.md section 9.
func (m *switchModel) checkInitDone() {
	if d := m.daemon; !d.initDone && len(d.pending) == 0 {
		d.initDone = true
		m.produce(switchtest.InitDone, map[string]string{"lanes": "0"})
	}
}

// dump processes a dump of all links and what follows from its end (docs/PROTOCOL.md D1). With
// sweep, rows without an interface are stale (D9).
func (m *switchModel) dump(sweep bool) {
	d := m.daemon
	for _, index := range slices.Sorted(maps.Keys(m.links)) {
		m.newLink(index, m.links[index].name)
	}
	for index := range d.known {
		if _, exists := m.links[index]; !exists {
			m.linkGone(index)
		}
	}
	for index := range d.old {
		if _, exists := m.links[index]; !exists {
			delete(d.old, index)
		}
	}
	if sweep {
		m.sweep()
	}
	m.checkInitDone()
}

// sweep deletes the daemon's rows whose interface does not exist (docs/PROTOCOL.md D9).
func (m *switchModel) sweep() {
	d, configured := m.daemon, m.configured()
	for _, name := range d.known {
		_, there := m.db["STATE_DB"][switchtest.StatePort+name]
		switch {
		case !there:
			delete(d.rows, name)
			delete(d.unsure, name)
		case d.accepted[name] || d.swept && !d.unsure[name]:
		case configured[name] != nil:
			d.rows[name] = true
			delete(d.unsure, name)
		default:
			d.unsure[name] = true
		}
	}
	d.swept = true
	exists := make(map[string]bool)
	for _, names := range []map[int32]string{m.daemon.known, m.daemon.old} {
		for _, name := range names {
			exists[name] = true
		}
	}
	for key, fields := range m.db["STATE_DB"] {
		name, isPort := strings.CutPrefix(key, switchtest.StatePort)
		if _, ours := fields["netdev_oper_status"]; isPort && ours && !exists[name] {
			m.deleteRow(key)
		}
	}
}

// audit compares all rows with the kernel and repairs them. It returns the number of wrong rows.
// As in PROTOCOL.md D11, a port that was ignored at its last message stays ignored.
func (m *switchModel) audit() (wrong int) {
	differing, before := m.differing(), len(m.db["STATE_DB"])
	m.sweep()
	wrong = len(differing) + before - len(m.db["STATE_DB"])
	for _, index := range differing {
		m.report(index, m.daemon.known[index])
	}
	m.checkInitDone()
	return wrong
}

// auditRefused is audit while the server refuses writes: the wrong rows are written later.
func (m *switchModel) auditRefused() (wrong int) {
	differing := m.differing()
	for _, index := range differing {
		name := m.daemon.known[index]
		delete(m.daemon.rows, name)
		m.daemon.toRecheck[name] = true
	}
	return len(differing)
}

// differing returns the interfaces whose rows in STATE_DB differ from the kernel.
func (m *switchModel) differing() (all []int32) {
	for index, name := range m.daemon.known {
		row, l := m.db["STATE_DB"][switchtest.StatePort+name], m.links[index]
		if m.daemon.accepted[name] && (row["state"] != "ok" || row["mtu"] != strconv.Itoa(l.mtu) ||
			row["admin_status"] != switchtest.UpOrDown(l.admin) || row["netdev_oper_status"] != switchtest.UpOrDown(l.oper)) {
			all = append(all, index)
		}
	}
	return all
}

// applCounts returns the number of ports in PortConfigDone and the number of ports in PORT_TABLE.
func (m *switchModel) applCounts() (announced, rows int) {
	for key, fields := range m.db["APPL_DB"] {
		switch name, isPort := strings.CutPrefix(key, switchtest.ApplPort); {
		case isPort && name == switchtest.ConfigDone:
			announced, _ = strconv.Atoi(fields["count"])
		case isPort && name != switchtest.InitDone:
			rows++
		}
	}
	return announced, rows
}

// databaseDisconnected is the moment from which on a database may have lost anything. Ports
// accepted until then are written again as soon as APPL_DB has them again, without a message about
// them (ARCHITECTURE.md, invariant 1). So are all ports that are produced again, even if their
// interface is made before orchagent has popped them.
func (m *switchModel) databaseDisconnected() {
	if m.daemon != nil {
		maps.Copy(m.daemon.toRecheck, m.daemon.accepted)
	}
}

// databaseReconnected repairs what was lost (docs/PROTOCOL.md D3; ARCHITECTURE.md, invariant 6).
func (m *switchModel) databaseReconnected() {
	d, appl := m.daemon, m.db["APPL_DB"]
	m.dump(true)
	pending := func(marker string) bool {
		_, isPending := appl[switchtest.KeySet][marker]
		return isPending || appl[switchtest.ApplPort+marker] != nil
	}
	if !pending(switchtest.ConfigDone) {
		if ports := m.configured(); len(ports) > 0 {
			d.ports = ports
		}
		m.produceAll()
		for name := range d.ports {
			d.reproduced[name] = true
		}
	}
	if d.initDone && !pending(switchtest.InitDone) {
		m.produce(switchtest.InitDone, map[string]string{"lanes": "0"})
	}
}

// recheck is what the daemon does without a message: it writes ports that a database lost, and
// rows that were rejected.
func (m *switchModel) recheck() {
	d := m.daemon
	for index, name := range d.known {
		if d.toRecheck[name] || d.reproduced[name] || d.rejected[name] {
			m.report(index, name)
		}
	}
	m.checkInitDone()
}
