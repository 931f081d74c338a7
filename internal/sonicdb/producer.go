package sonicdb

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// Script is a Lua script that the server runs as one atomic unit.
type Script struct {
	Source string
	SHA1   string // of Source, in hex: the name under which the server keeps it
}

// NewScript computes the name of a script.
func NewScript(source string) Script {
	sum := sha1.Sum([]byte(source))
	return Script{Source: source, SHA1: hex.EncodeToString(sum[:])}
}

// AppendEval begins an EVAL of s, which also makes the server keep it. The
// caller appends exactly nkeys keys and then nargs arguments.
func (c *Conn) AppendEval(s *Script, nkeys, nargs int) {
	c.appendEval("EVAL", s.Source, nkeys, nargs)
}

// AppendEvalSHA begins an EVALSHA of s; else it is like AppendEval. A server
// that does not have the script answers with a ServerError of code NOSCRIPT.
func (c *Conn) AppendEvalSHA(s *Script, nkeys, nargs int) {
	c.appendEval("EVALSHA", s.SHA1, nkeys, nargs)
}

func (c *Conn) appendEval(command, script string, nkeys, nargs int) {
	c.Command(3 + nkeys + nargs)
	c.String(command)
	c.String(script)
	c.Int(int64(nkeys))
}

// SetScript hands one row to the consumer of its table. By SONiC's convention
// KEYS are the channel, the key set, and the pending hash once for each field;
// ARGV are "G", the row's key, then field and value alternating.
//
// The fields come first, so that a row which cannot be stored is not announced.
// They are set in slices because Lua unpacks fewer than 8000 values at once
// (LUAI_MAXCSTACK in luaconf.h). A row without fields has no pending hash and is announced alone. The
// message is sent only for a key that was not pending already: its consumer
// takes all that is pending when it wakes.
var SetScript = NewScript(`
for i = 3, #ARGV, 1000 do
	redis.call('HSET', KEYS[3], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
if redis.call('SADD', KEYS[2], ARGV[2]) == 1 then
	redis.call('PUBLISH', KEYS[1], ARGV[1])
end
`)

// ProducerStateTable hands rows to the one consumer of a table, which makes
// them rows proper when it takes them (sonic-swss-common common/table.h and
// common/producerstatetable.cpp). Rows produced twice before the consumer looks
// are merged field by field.
type ProducerStateTable struct {
	channel string // <table>_CHANNEL@<database number>: wakes the consumer
	keySet  string // <table>_KEY_SET: keys with something pending
	pending Table  // _<table>: the pending fields of each key
}

// NewProducerStateTable returns the producer's side of the table of that name.
func NewProducerStateTable(db Database, name string) *ProducerStateTable {
	return &ProducerStateTable{
		channel: name + "_CHANNEL@" + strconv.Itoa(db.ID),
		keySet:  name + "_KEY_SET",
		pending: NewTable(db, "_"+name),
	}
}

// Row is one row of a table.
type Row struct {
	Key    string // without the table's name
	Fields []FieldValue
}

// Set produces one row and waits until the server has acknowledged it.
func (p *ProducerStateTable) Set(c *Conn, key string, fvs []FieldValue) error {
	return p.SetMany(c, []Row{{Key: key, Fields: fvs}})
}

// SetMany produces rows, pipelined, and waits until the server has acknowledged
// them all. It needs no script to be loaded before. Error replies do not stop
// it: they are returned joined, as *RowError. Any other error has ended
// the connection, and which rows were stored is then unknown.
func (p *ProducerStateTable) SetMany(c *Conn, rows []Row) error {
	load := true // the first row brings the script along
	appendRow := func(row Row) {
		if load {
			p.appendEval(c, row)
		} else {
			p.AppendSet(c, row.Key, row.Fields)
		}
		load = false
	}
	var refused []error
	var again []Row // those that somebody's SCRIPT FLUSH came before
	err := sendRows(c, rows, appendRow, func(row Row, err ServerError) {
		if err.Code() == "NOSCRIPT" {
			again = append(again, row)
		} else {
			refused = append(refused, &RowError{Key: row.Key, Err: err})
		}
	})
	if err != nil {
		return fmt.Errorf("produce rows: %w", err)
	}
	appendRow = func(row Row) { p.appendEval(c, row) }
	err = sendRows(c, again, appendRow, func(row Row, err ServerError) {
		refused = append(refused, &RowError{Key: row.Key, Err: err})
	})
	if err != nil {
		return fmt.Errorf("produce rows again: %w", err)
	}
	return errors.Join(refused...)
}

// sendRows sends one command for each row, a chunk at a time, and receives as
// many replies. Error replies go to refused; another error is returned.
func sendRows(c *Conn, rows []Row, appendRow func(Row), refused func(Row, ServerError)) error {
	for len(rows) > 0 {
		batch := rows[:min(chunk, len(rows))]
		rows = rows[len(batch):]
		for _, row := range batch {
			appendRow(row)
		}
		if err := c.Flush(); err != nil {
			return err
		}
		for _, row := range batch {
			_, err := c.Receive()
			if e, ok := err.(ServerError); ok {
				refused(row, e)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// AppendSet appends an EVALSHA that produces one row, for a pipeline of the
// caller's. On NOSCRIPT the row is to be produced again with Set.
func (p *ProducerStateTable) AppendSet(c *Conn, key string, fvs []FieldValue) {
	c.AppendEvalSHA(&SetScript, 2+len(fvs), 2+2*len(fvs))
	p.appendRow(c, key, fvs)
}

func (p *ProducerStateTable) appendEval(c *Conn, row Row) {
	c.AppendEval(&SetScript, 2+len(row.Fields), 2+2*len(row.Fields))
	p.appendRow(c, row.Key, row.Fields)
}

// appendRow appends the keys and arguments of SetScript.
func (p *ProducerStateTable) appendRow(c *Conn, key string, fvs []FieldValue) {
	c.String(p.channel)
	c.String(p.keySet)
	pending := p.pending.Key(key)
	for range fvs {
		c.String(pending)
	}
	c.String("G")
	c.String(key)
	for i := range fvs {
		c.String(fvs[i].Field)
		c.String(fvs[i].Value)
	}
}
