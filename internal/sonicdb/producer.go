package sonicdb

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// Script is a Lua script, which the server runs atomically.
type Script struct {
	Source string
	SHA1   string // SHA-1 of Source in hexadecimal, for EVALSHA
}

// NewScript returns a script and computes its SHA-1.
func NewScript(source string) Script {
	sum := sha1.Sum([]byte(source))
	return Script{Source: source, SHA1: hex.EncodeToString(sum[:])}
}

// AppendEval starts an EVAL of s, which also makes the script available to EVALSHA. The caller must
// append exactly nkeys keys, then nargs arguments.
func (c *Conn) AppendEval(s *Script, nkeys, nargs int) {
	c.appendEval("EVAL", s.Source, nkeys, nargs)
}

// AppendEvalSHA is like AppendEval but uses EVALSHA. If the server does not have the script, the
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

// ProducerStateTable writes rows for the consumer of a table, which moves them to the table
// (sonic-swss-common common/table.h and common/producerstatetable.cpp). If a row is written again
// before the consumer reads it, the fields are merged.
type ProducerStateTable struct {
	channel string // <table>_CHANNEL@<database number>: the channel that notifies the consumer
	keySet  string // <table>_KEY_SET: pending keys
	pending Table  // _<table>: pending fields of each key
}

// NewProducerStateTable returns a producer for the named table.
func NewProducerStateTable(db Database, name string) *ProducerStateTable {
	return &ProducerStateTable{
		channel: name + "_CHANNEL@" + strconv.Itoa(db.ID),
		keySet:  name + "_KEY_SET",
		pending: NewTable(db, "_"+name),
	}
}

// Row is a row of a table.
type Row struct {
	Key    string // without the table name
	Fields []FieldValue
}

// Set writes one row and waits for the server's acknowledgement.
func (p *ProducerStateTable) Set(c *Conn, key string, fvs []FieldValue) error {
	return p.SetMany(c, []Row{{Key: key, Fields: fvs}})
}

// SetMany writes rows in a pipeline and waits for the server's acknowledgements. It loads the
// script if necessary. If rows are rejected with an error reply, it continues and returns the
// errors joined, each as a *RowError. Any other error means that the connection is closed and that
// any of the rows may or may not have been stored.
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
		return fmt.Errorf("write rows to the producer table: %w", err)
	}
	appendRow = func(row Row) { p.appendEval(c, row) }
	err = sendRows(c, retry, appendRow, func(row Row, err ServerError) {
		refused = append(refused, &RowError{Key: row.Key, Err: err})
	})
	if err != nil {
		return fmt.Errorf("retry rows in the producer table: %w", err)
	}
	return errors.Join(refused...)
}

// sendRows sends one command for each row, in chunks, and receives the replies. It calls refused
// for each row that the server rejects with an error reply. It returns any other error.
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

// AppendSet appends an EVALSHA that writes one row. If the reply is NOSCRIPT, the caller must write
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
