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
	SHA1   string // SHA-1 of Source in hexadecimal, by which the server identifies the script
}

// NewScript returns a script with its SHA-1.
func NewScript(source string) Script {
	sum := sha1.Sum([]byte(source))
	return Script{Source: source, SHA1: hex.EncodeToString(sum[:])}
}

// AppendEval begins an EVAL of s, after which the server also has the script for EVALSHA. The caller
// must append exactly nkeys keys and then nargs arguments.
func (c *Conn) AppendEval(s *Script, nkeys, nargs int) {
	c.appendEval("EVAL", s.Source, nkeys, nargs)
}

// AppendEvalSHA is like AppendEval, but with EVALSHA. If the server does not have the script, the
// reply is a ServerError with the code NOSCRIPT.
func (c *Conn) AppendEvalSHA(s *Script, nkeys, nargs int) {
	c.appendEval("EVALSHA", s.SHA1, nkeys, nargs)
}

func (c *Conn) appendEval(command, script string, nkeys, nargs int) {
	c.Command(3 + nkeys + nargs)
	c.String(command)
	c.String(script)
	c.Int(int64(nkeys))
}

// SetScript produces one row for the consumer of its table. As in SONiC, KEYS are the channel, the key
// set, and the pending hash once for each field; ARGV are "G", the key of the row, and alternating
// fields and values.
//
// The fields are set first, so that a row that cannot be stored is not announced. They are set in
// parts because Lua can unpack fewer than 8000 values (LUAI_MAXCSTACK in luaconf.h). A row without
// fields has no pending hash. The message is published only if the key was not pending, because the
// consumer takes all pending keys when it wakes up.
var SetScript = NewScript(`
for i = 3, #ARGV, 1000 do
	redis.call('HSET', KEYS[3], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
if redis.call('SADD', KEYS[2], ARGV[2]) == 1 then
	redis.call('PUBLISH', KEYS[1], ARGV[1])
end
`)

// ProducerStateTable produces rows for the consumer of a table, which moves them to the table
// (sonic-swss-common common/table.h and common/producerstatetable.cpp). If a row is produced again
// before the consumer took it, the fields are merged.
type ProducerStateTable struct {
	channel string // <table>_CHANNEL@<database number>: notifies the consumer
	keySet  string // <table>_KEY_SET: pending keys
	pending Table  // _<table>: pending fields of each key
}

// NewProducerStateTable returns the producer of the table with that name.
func NewProducerStateTable(db Database, name string) *ProducerStateTable {
	return &ProducerStateTable{
		channel: name + "_CHANNEL@" + strconv.Itoa(db.ID),
		keySet:  name + "_KEY_SET",
		pending: NewTable(db, "_"+name),
	}
}

// Row is one row of a table.
type Row struct {
	Key    string // without the name of the table
	Fields []FieldValue
}

// Set produces one row and waits for its acknowledgement by the server.
func (p *ProducerStateTable) Set(c *Conn, key string, fvs []FieldValue) error {
	return p.SetMany(c, []Row{{Key: key, Fields: fvs}})
}

// SetMany produces rows, pipelined, and waits for their acknowledgement by the server. It loads the
// script if necessary. It continues after error replies, and returns them joined, as *RowError. Any
// other error means that the connection is closed and that it is unknown which rows were stored.
func (p *ProducerStateTable) SetMany(c *Conn, rows []Row) error {
	load := true // the first row loads the script
	appendRow := func(row Row) {
		if load {
			p.appendEval(c, row)
		} else {
			p.AppendSet(c, row.Key, row.Fields)
		}
		load = false
	}
	var refused []error
	var retry []Row // rows after a SCRIPT FLUSH by another client
	err := sendRows(c, rows, appendRow, func(row Row, err ServerError) {
		if err.Code() == "NOSCRIPT" {
			retry = append(retry, row)
		} else {
			refused = append(refused, &RowError{Key: row.Key, Err: err})
		}
	})
	if err != nil {
		return fmt.Errorf("produce rows: %w", err)
	}
	appendRow = func(row Row) { p.appendEval(c, row) }
	err = sendRows(c, retry, appendRow, func(row Row, err ServerError) {
		refused = append(refused, &RowError{Key: row.Key, Err: err})
	})
	if err != nil {
		return fmt.Errorf("retry rows: %w", err)
	}
	return errors.Join(refused...)
}

// sendRows sends one command for each row, in chunks, and receives the replies. It passes error replies
// to refused, and returns any other error.
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

// AppendSet appends an EVALSHA that produces one row. If the reply is NOSCRIPT, the caller must produce
// the row again with Set.
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
