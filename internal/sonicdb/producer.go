package sonicdb

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
)

// Script is a Lua script, which the server runs atomically.
type Script struct {
	Source string
	sum    atomic.Pointer[string] // computed by SHA1
}

// SHA1 returns the SHA-1 of the source in hexadecimal, for EVALSHA. It is computed by the first call,
// because scripts are package variables, whose initialization delays each start.
func (s *Script) SHA1() string {
	if sum := s.sum.Load(); sum != nil {
		return *sum
	}
	sum := sha1.Sum([]byte(s.Source))
	text := hex.EncodeToString(sum[:])
	s.sum.Store(&text)
	return text
}

// AppendEval starts an EVAL of s, which also makes the script available to EVALSHA. The caller must
// append exactly nkeys keys, then nargs arguments.
func (c *Conn) AppendEval(s *Script, nkeys, nargs int) {
	c.appendEval("EVAL", s.Source, nkeys, nargs)
}

// AppendEvalSHA is like AppendEval but uses EVALSHA. If the server does not have the script, the
// reply is a ServerError with the code NOSCRIPT.
func (c *Conn) AppendEvalSHA(s *Script, nkeys, nargs int) {
	c.appendEval("EVALSHA", s.SHA1(), nkeys, nargs)
}

func (c *Conn) appendEval(command, script string, nkeys, nargs int) {
	c.Command(3 + nkeys + nargs)
	c.String(command)
	c.String(script)
	c.Int(int64(nkeys))
}

// SetScript produces rows for the consumer of their table. KEYS are the channel, the key set, and the
// pending hash of each row. ARGV are, for each row, its key, the number of its fields, and alternating
// fields and values. The reply is an array of alternating keys and errors of the rows that cannot be
// stored.
//
// The fields of a row are set first, so that a row that cannot be stored is not announced. They are
// set in parts because Lua can unpack fewer than 8000 values (LUAI_MAXCSTACK in luaconf.h). A row
// without fields has no pending hash. A message is published only if the key was not pending, because
// the consumer takes all pending keys when it wakes up.
var SetScript = Script{Source: `
local refused, a = {}, 1
for k = 3, #KEYS do
	local last, err = a + 1 + 2 * ARGV[a + 1], nil
	for i = a + 2, last, 1000 do
		local r = redis.pcall('HSET', KEYS[k], unpack(ARGV, i, math.min(i + 999, last)))
		if type(r) == 'table' then err = r.err end
	end
	if err then
		refused[#refused + 1] = ARGV[a]
		refused[#refused + 1] = err
	elseif redis.call('SADD', KEYS[2], ARGV[a]) == 1 then
		redis.call('PUBLISH', KEYS[1], 'G')
	end
	a = last + 1
end
return refused
`}

// rowsPerScript is the number of rows that one call of SetScript writes. Redis needs a third less time
// for 16 rows in one call than in 16 calls. With 100 rows or more, Lua's garbage collector uses up the
// gain.
const rowsPerScript = 16

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
// script if necessary. If rows are refused, it continues and returns the errors joined, each as a
// *RowError. Any other error means that the connection is closed and that any of the rows may or may
// not have been stored.
func (p *ProducerStateTable) SetMany(c *Conn, rows []Row) error {
	var refused []error
	batches := slices.Collect(slices.Chunk(rows, rowsPerScript))
	retry, err := p.send(c, batches, 1, &refused) // the first call loads the script
	if err != nil {
		return fmt.Errorf("write rows to the producer table: %w", err)
	}
	if _, err = p.send(c, retry, len(retry), &refused); err != nil {
		return fmt.Errorf("retry rows in the producer table: %w", err)
	}
	return errors.Join(refused...)
}

// send writes batches in chunks, with one call of SetScript for each batch, and receives the replies.
// The first evals batches are sent with EVAL. The batches for which the server does not have the script
// are returned in retry. Errors of rows that the server refuses are appended to refused. Any other error
// is returned.
func (p *ProducerStateTable) send(c *Conn, batches [][]Row, evals int, refused *[]error) (retry [][]Row, err error) {
	for chunk := range slices.Chunk(batches, chunk/rowsPerScript) {
		for _, batch := range chunk {
			p.append(c, batch, evals > 0)
			evals--
		}
		if err := c.Flush(); err != nil {
			return nil, err
		}
		for _, batch := range chunk {
			bad, err := receiveRefused(c)
			e, isRefused := err.(ServerError)
			switch {
			case err == nil:
				*refused = append(*refused, bad...)
			case !isRefused:
				return nil, err
			case e.Code() == "NOSCRIPT":
				retry = append(retry, batch)
			default:
				for _, row := range batch {
					*refused = append(*refused, &RowError{Key: row.Key, Err: e})
				}
			}
		}
	}
	return retry, nil
}

// append appends a call of SetScript for rows, with EVAL if load is set.
func (p *ProducerStateTable) append(c *Conn, rows []Row, load bool) {
	args := 0
	for i := range rows {
		args += 2 + 2*len(rows[i].Fields)
	}
	if load {
		c.AppendEval(&SetScript, 2+len(rows), args)
	} else {
		c.AppendEvalSHA(&SetScript, 2+len(rows), args)
	}
	c.String(p.channel)
	c.String(p.keySet)
	for i := range rows {
		c.String(p.pending.Key(rows[i].Key))
	}
	for i := range rows {
		c.String(rows[i].Key)
		c.Int(int64(len(rows[i].Fields)))
		for j := range rows[i].Fields {
			c.String(rows[i].Fields[j].Field)
			c.String(rows[i].Fields[j].Value)
		}
	}
}

// receiveRefused receives a reply of SetScript and returns a *RowError for each row that the server
// refused.
func receiveRefused(c *Conn) (bad []error, err error) {
	r, err := c.Receive()
	if err != nil {
		return nil, err
	}
	if !isStrings(r) || len(r.Array)%2 != 0 {
		return nil, c.mismatch("an array of keys and errors", r)
	}
	for i := 0; i < len(r.Array); i += 2 {
		bad = append(bad, &RowError{Key: string(r.Array[i].Str), Err: ServerError(r.Array[i+1].Str)})
	}
	return bad, nil
}
