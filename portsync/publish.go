package portsync

import (
	"errors"
	"fmt"
	"slices"

	"portsyncd/internal/sonicdb"
)

// Publish writes the rows of a batch. Each state is one HSET of all four
// fields, since subscribers read the row at each notification, and only where
// APPL_DB has the port at this moment (PROTOCOL.md section 8).
//
// Where both databases are of one instance, one script call does it all in one
// round trip; otherwise the look-ups go to APPL_DB first and the writes to
// STATE_DB after them. A ServerError means that ports are left which failed.
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
			refused = fmt.Errorf("publish to STATE_DB: %w", err)
		default:
			return fmt.Errorf("publish to STATE_DB: %w", err)
		}
	}
	return refused
}

// publishChunk bounds how long one script call keeps Redis from its other
// clients: 256 ports take it about a millisecond.
const publishChunk = 256

// publishScript sends the chunk as one call of sonicdb.MirrorScript.
func (d *Databases) publishScript(chunk []*Port) error {
	c := d.appl
	c.AppendEvalSHA(&sonicdb.MirrorScript, 2*len(chunk), 1+4*len(chunk))
	d.appendMirror(chunk)
	r, err := roundTrip(c)
	if isNoScript(err) { // the server was restarted, or somebody flushed its scripts
		c.AppendEval(&sonicdb.MirrorScript, 2*len(chunk), 1+4*len(chunk))
		d.appendMirror(chunk)
		r, err = roundTrip(c)
	}
	if err != nil {
		return err
	}
	return mirrored(chunk, r.Str)
}

// appendMirror appends the keys and arguments of a script call.
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

// mirrorWord is the word of sonicdb.MirrorScript for what is wanted of a port.
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

// mirrored reads the script's answer.
func mirrored(chunk []*Port, answer []byte) error {
	if len(answer) < len(chunk) {
		return fmt.Errorf("the script answered for %d of %d ports", len(answer), len(chunk))
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

// refusal tells whether it is worth trying again soon.
func refusal(err error) Outcome {
	if sonicdb.Temporary(err) || sonicdb.Denied(err) {
		return OutcomeFailed
	}
	return OutcomeRefused
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

// roundTrip sends what was appended to c and receives one reply.
func roundTrip(c *sonicdb.Conn) (*sonicdb.Reply, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return c.Receive()
}

// publishPipelined is for databases of two instances.
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
		for _, owed := range [2]bool{p.Delete(), sets} {
			if !owed {
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

// writes reports whether the row is to be set and APPL_DB has the port.
func (p *Port) writes() bool { return p.Set() && p.pending.result == OutcomeAccepted }

// lookUp answers for each port whether APPL_DB has it.
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
		// Nothing has been written: all of the chunk is tried again.
		for _, p := range chunk {
			p.Answer(OutcomeFailed)
		}
	}
	return refused
}

// appendRow appends the HSET of a port's row.
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
