package portsync

import (
	"errors"
	"fmt"
	"slices"

	"portsyncd/internal/sonicdb"
)

// Publish writes the rows of a batch and sets the outcome of each port. A row is written only if
// APPL_DB has the port at that moment (PROTOCOL.md section 8). All four fields are written by one
// HSET, because subscribers read the whole row on each notification.
//
// Publish needs one round trip if both databases are on one Redis instance: a script performs the
// lookups and writes. Otherwise Publish first looks up the ports in APPL_DB and then writes to
// STATE_DB. If it returns a ServerError, the outcome of some ports is OutcomeFailed or
// OutcomeRefused.
func (d *Databases) Publish(ports []*Port) error {
	for _, p := range ports {
		p.Answer(OutcomeFailed)
	}
	publish := d.publishPipelined
	if d.shared {
		publish = d.publishScript
	}
	var refused error
	for chunk := range slices.Chunk(ports, publishChunk) {
		err := publish(chunk)
		switch {
		case err == nil:
		case isServerError(err):
			refused = fmt.Errorf("write rows to STATE_DB: %w", err)
		default:
			return fmt.Errorf("write rows to STATE_DB: %w", err)
		}
	}
	return refused
}

// publishChunk is the maximum number of ports per script call. Redis serves no other client during
// a call, which takes about a millisecond for 256 ports.
const publishChunk = 256

// publishScript writes the chunk with one call of sonicdb.MirrorScript.
func (d *Databases) publishScript(chunk []*Port) error {
	c := d.appl
	c.AppendEvalSHA(&sonicdb.MirrorScript, 2*len(chunk), 1+4*len(chunk))
	d.appendMirror(chunk)
	r, err := roundTrip(c)
	if isNoScript(err) { // the server was restarted or its scripts were flushed
		c.AppendEval(&sonicdb.MirrorScript, 2*len(chunk), 1+4*len(chunk))
		d.appendMirror(chunk)
		r, err = roundTrip(c)
	}
	if err != nil {
		return err
	}
	return mirrored(chunk, r.Str)
}

// appendMirror appends the keys and arguments of a script call for the chunk.
func (d *Databases) appendMirror(chunk []*Port) {
	for _, p := range chunk {
		d.appendKey(d.appl, d.applPrefix, p)
		d.appendKey(d.appl, d.statePrefix, p)
	}
	d.appl.Int(int64(d.stateID))
	for _, p := range chunk {
		d.appl.String(mirrorWord(p))
		d.appl.String(status(p.Oper))
		d.appl.String(status(p.Admin))
		d.appl.Int(int64(p.MTU))
	}
}

// mirrorWord returns the name of the operation that sonicdb.MirrorScript must perform for port p.
func mirrorWord(p *Port) string {
	switch {
	case p.Delete() && p.Set():
		return sonicdb.MirrorReplace
	case p.Set():
		return sonicdb.MirrorSet
	case p.Lookup():
		return sonicdb.MirrorDeleteCheck
	}
	return sonicdb.MirrorDelete
}

// mirrored sets the outcomes of the chunk from the script's reply.
func mirrored(chunk []*Port, answer []byte) error {
	if len(answer) < len(chunk) {
		return fmt.Errorf("script returned results for only %d of %d ports", len(answer), len(chunk))
	}
	var refused error
	if rest := answer[len(chunk):]; len(rest) > 0 {
		refused = sonicdb.ServerError(rest[1:])
	}
	for i, p := range chunk {
		switch answer[i] {
		case '1':
			p.Answer(OutcomeAccepted)
		case '0':
			p.Answer(OutcomeNotAccepted)
		default:
			p.Answer(refusal(refused))
		}
	}
	return refused
}

// refusal returns the outcome for an error reply: OutcomeFailed if a retry may succeed soon,
// otherwise OutcomeRefused.
func refusal(err error) Outcome {
	if sonicdb.AboutKey(err) {
		return OutcomeRefused
	}
	return OutcomeFailed
}

// appendKey appends the key of a port's row as one argument.
func (d *Databases) appendKey(c *sonicdb.Conn, prefix string, p *Port) {
	d.key = append(append(d.key[:0], prefix...), p.Name...)
	c.Bytes(d.key)
}

func isNoScript(err error) bool {
	refused, ok := errors.AsType[sonicdb.ServerError](err)
	return ok && refused.Code() == "NOSCRIPT"
}

// roundTrip sends the commands appended to c and receives one reply.
func roundTrip(c *sonicdb.Conn) (*sonicdb.Reply, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.Receive()
}

// publishPipelined writes the chunk if the databases are on two instances.
func (d *Databases) publishPipelined(chunk []*Port) error {
	if err := d.lookUp(chunk); err != nil {
		return err
	}
	for _, p := range chunk {
		if p.Delete() {
			d.state.Command(2)
			d.state.String("DEL")
			d.appendKey(d.state, d.statePrefix, p)
		}
		if p.writes() {
			d.appendRow(p)
		}
	}
	if err := d.state.Flush(); err != nil {
		return err
	}
	var refused error
	for _, p := range chunk {
		sets := p.writes()
		for _, sent := range [2]bool{p.Delete(), sets} {
			if !sent {
				continue
			}
			_, err := d.state.Receive()
			switch {
			case err == nil:
			case isServerError(err):
				p.Answer(refusal(err))
				refused = err
			default:
				return err
			}
		}
	}
	return refused
}

// writes reports whether the row of p must be written now: it has a pending write, and APPL_DB has
// the port.
func (p *Port) writes() bool { return p.Set() && p.pending.result == OutcomeAccepted }

// lookUp sets the outcome of each port according to whether APPL_DB has the port.
func (d *Databases) lookUp(chunk []*Port) error {
	for _, p := range chunk {
		if p.Lookup() {
			d.appl.Command(2)
			d.appl.String("EXISTS")
			d.appendKey(d.appl, d.applPrefix, p)
		}
	}
	if err := d.appl.Flush(); err != nil {
		return err
	}
	var refused error
	for _, p := range chunk {
		p.Answer(OutcomeNotAccepted)
		if !p.Lookup() {
			continue
		}
		known, err := d.appl.ReceiveBool()
		switch {
		case known:
			p.Answer(OutcomeAccepted)
		case err == nil:
		case isServerError(err):
			refused = err
		default:
			return err
		}
	}
	if refused != nil {
		// Nothing was written, so the whole chunk is retried.
		for _, p := range chunk {
			p.Answer(OutcomeFailed)
		}
	}
	return refused
}

// appendRow appends the HSET command for a port's row.
func (d *Databases) appendRow(p *Port) {
	c := d.state
	c.Command(10)
	c.String("HSET")
	d.appendKey(c, d.statePrefix, p)
	c.String(fieldState)
	c.String(valueOK)
	c.String(fieldOper)
	c.String(status(p.Oper))
	c.String(fieldAdmin)
	c.String(status(p.Admin))
	c.String(fieldMTU)
	c.Int(int64(p.MTU))
}

func status(up bool) string {
	if up {
		return valueUp
	}
	return valueDown
}
