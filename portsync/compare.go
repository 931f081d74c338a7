package portsync

import (
	"fmt"
	"strconv"

	"portsyncd/internal/sonicdb"
)

// Audit compares the rows of ports, which APPL_DB must have accepted, with STATE_DB and lists all
// rows of the table. A row is stale if portsyncd wrote it, which the field netdev_oper_status
// shows, and its interface does not exist. Rows written by other daemons have only the field state
// and are not changed (PROTOCOL.md D9).
func (d *Databases) Audit(ports []*Port, exists func(name string) bool) (AuditResult, error) {
	var res AuditResult
	differing, err := d.differing(ports)
	if err != nil {
		return res, fmt.Errorf("audit STATE_DB: %w", err)
	}
	res.Differing = differing
	if res.Rows, res.Stale, err = d.stale(exists); err != nil {
		return res, fmt.Errorf("audit STATE_DB: %w", err)
	}
	res.Counts, err = d.Count()
	return res, err
}

// Count returns the number of ports in the APPL_DB table PORT_TABLE and the number announced by
// PortConfigDone.
func (d *Databases) Count() (c Counts, err error) {
	if c.Markers, err = d.Markers(); err != nil {
		return c, err
	}
	count, err := d.appl.HMGet(d.applTable.Key(portConfigDone), "count")
	if err != nil && !sonicdb.AboutKey(err) {
		return c, fmt.Errorf("count the ports in APPL_DB: %w", err)
	}
	if len(count) == 1 {
		c.Announced, _ = strconv.Atoi(count[0].Value) // a value that is not a number counts as 0
	}
	keys, err := d.appl.Keys(d.applTable.Pattern())
	if err != nil {
		return c, fmt.Errorf("count the ports in APPL_DB: %w", err)
	}
	for _, key := range keys {
		if name, ok := d.applTable.KeyOf(key); ok && name != portConfigDone && name != portInitDone {
			c.Rows++
		}
	}
	return c, nil
}

// Compare sets the outcome of each port that needs no write, because its row in STATE_DB is correct
// or APPL_DB does not have the port. Other ports keep OutcomeFailed.
func (d *Databases) Compare(ports []*Port) error {
	for _, p := range ports {
		p.Answer(OutcomeFailed)
	}
	if err := d.lookUp(ports); err != nil {
		return fmt.Errorf("compare with APPL_DB: %w", err)
	}
	differing, err := d.differing(ports)
	if err != nil {
		return fmt.Errorf("compare with STATE_DB: %w", err)
	}
	for _, p := range differing {
		if p.pending.result == OutcomeAccepted {
			p.Answer(OutcomeFailed)
		}
	}
	for _, p := range ports {
		if p.Delete() {
			p.Answer(OutcomeFailed)
		}
	}
	return nil
}

// differing returns the ports whose row in STATE_DB differs from their state.
func (d *Databases) differing(ports []*Port) ([]*Port, error) {
	for _, p := range ports {
		d.state.Command(6)
		d.state.String("HMGET")
		d.appendKey(d.state, d.statePrefix, p)
		d.state.String(fieldState)
		d.state.String(fieldOper)
		d.state.String(fieldAdmin)
		d.state.String(fieldMTU)
	}
	if err := d.state.Flush(); err != nil {
		return nil, err
	}
	var out []*Port
	var refused error
	for _, p := range ports {
		r, err := d.state.Receive()
		switch {
		case err != nil && !isServerError(err):
			return nil, err
		case err != nil && !sonicdb.AboutKey(err):
			refused = err
		case err != nil || !p.matches(r):
			out = append(out, p)
		}
	}
	return out, refused
}

// matches reports whether the reply to HMGET equals the port's row.
func (p *Port) matches(r *sonicdb.Reply) bool {
	if len(r.Array) != 4 {
		return false
	}
	var mtu [20]byte
	return string(r.Array[0].Str) == valueOK &&
		string(r.Array[1].Str) == status(p.Oper) &&
		string(r.Array[2].Str) == status(p.Admin) &&
		string(r.Array[3].Str) == string(strconv.AppendUint(mtu[:0], uint64(p.MTU), 10))
}

// stale returns the names of all rows, and the names of stale rows: those that portsyncd wrote and
// whose interface does not exist.
func (d *Databases) stale(exists func(name string) bool) (rows map[string]bool, out []string, err error) {
	keys, err := d.state.Keys(d.stateTable.Pattern())
	if err != nil {
		return nil, nil, err
	}
	var names []string
	rows = make(map[string]bool, len(keys))
	for _, key := range keys {
		name, ok := d.stateTable.KeyOf(key)
		if ok {
			rows[name] = true
		}
		if ok && !exists(name) {
			names = append(names, name)
			d.state.Send("HEXISTS", key, fieldOper)
		}
	}
	if err := d.state.Flush(); err != nil {
		return nil, nil, err
	}
	var refused error
	for _, name := range names {
		ours, err := d.state.ReceiveBool()
		switch {
		case ours:
			out = append(out, name)
		case err != nil && !isServerError(err):
			return nil, nil, err
		case err != nil && !sonicdb.AboutKey(err):
			refused = err
		}
	}
	return rows, out, refused
}
