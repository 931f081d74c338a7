package switchtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"portsyncd/internal/sonicdb"
)

const (
	KeySet        = "PORT_TABLE_KEY_SET"
	PendingPrefix = "_PORT_TABLE:"
	TableChannel  = "PORT_TABLE_CHANNEL@"
)

// Prefixes and keys of rows, with SONiC's default separators.
const (
	ApplPort   = "PORT_TABLE:"
	StatePort  = "PORT_TABLE|"
	ConfigPort = "PORT|"
	ConfigDone = "PortConfigDone"
	InitDone   = "PortInitDone"
)

// NoRow is what RowText returns for a row that does not exist.
const NoRow = "nothing"

// Rows is a copy of the rows of a database by key, which is updated from the output of MONITOR. A
// row maps field names to values. A Redis string is stored as a row with a single field "".
type Rows map[string]map[string]string

// Apply applies HSET, HDEL, SET or DEL to a row. It returns the resulting row as text and whether
// the command changed the row.
func (b Rows) Apply(key, op string, fields map[string]string) (content string, changed bool) {
	before := RowText(b[key])
	row := maps.Clone(b[key])
	switch op {
	case "DEL":
		row = nil
	case "SET":
		row = maps.Clone(fields)
	case "HDEL":
		maps.DeleteFunc(row, func(f, _ string) bool { _, gone := fields[f]; return gone })
	case "HSET":
		if row == nil {
			row = make(map[string]string)
		}
		maps.Copy(row, fields)
	}
	if len(row) == 0 {
		delete(b, key)
	} else {
		b[key] = row
	}
	content = RowText(row)
	return content, content != before
}

// RowText returns a row as JSON with sorted fields.
func RowText(row map[string]string) string {
	if len(row) == 0 {
		return NoRow
	}
	text, _ := json.Marshal(row)
	return string(text)
}

// FieldMap converts a list of alternating field names and values to a map.
func FieldMap(flat []string) map[string]string {
	m := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		m[flat[i]] = flat[i+1]
	}
	return m
}

// RowEvent is a keyspace notification about a row. It holds the port name and the event, such as
// "hset".
type RowEvent struct{ Key, Event string }

// WatchRowEvents records the keyspace notifications about PORT_TABLE in STATE_DB.
func (sw *Switch) WatchRowEvents() *Record[RowEvent] {
	sw.T.Helper()
	return sw.WatchKeys("STATE_DB", StatePort)
}

// WatchKeys records the keyspace notifications about the keys of a database that begin with
// prefix. Key is the rest of the key
// (https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/).
func (sw *Switch) WatchKeys(database, prefix string) *Record[RowEvent] {
	sw.T.Helper()
	at := sw.Databases[database]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.TCPAddress(), DB: at.Number, DialTimeout: requestTimeout, IOTimeout: requestTimeout})
	sw.NoError("connect", err)
	sw.T.Cleanup(func() { conn.Close() })
	channel := fmt.Sprintf("__keyspace@%d__:", at.Number) + prefix
	sw.NoError("subscribe", conn.PSubscribe(channel+"*"))
	_, err = conn.ReceiveMessage()
	sw.NoError("subscribe", err)
	events := new(Record[RowEvent])
	go func() {
		for {
			m, err := conn.ReceiveMessage()
			if err != nil {
				return
			}
			events.Add(RowEvent{string(m.Channel[len(channel):]), string(m.Payload.Str)})
		}
	}()
	return events
}

// RowEventsSoFar returns all row events that occurred before the call. To be sure that all have
// been received, it writes an additional row and waits for the notification of that write, which is
// not included in the result.
func (sw *Switch) RowEventsSoFar(rows *Record[RowEvent]) []RowEvent {
	sw.T.Helper()
	const mark = "mark" // not a port's row
	n := rows.Len()
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+mark, "state", "ok")
	if _, ok := rows.Await(n, Timeout, func(r RowEvent) bool { return r.Key == mark }); !ok {
		sw.T.Fatal("no notification of the test's own write")
	}
	all, _ := rows.From(0)
	var others []RowEvent
	for _, r := range all {
		if r.Key != mark {
			others = append(others, r)
		}
	}
	return others
}
