package sonicdb

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

var (
	applDB    = Database{Name: "APPL_DB", ID: 0, Separator: ":"}
	portTable = NewProducerStateTable(applDB, "PORT_TABLE")
)

// TestProducerSends checks the arguments of SetScript.
func TestProducerSends(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.expect("EVAL", SetScript.Source, "4", "PORT_TABLE_CHANNEL@0", "PORT_TABLE_KEY_SET",
			"_PORT_TABLE:Ethernet0", "_PORT_TABLE:Ethernet4",
			"Ethernet0", "2", "lanes", "1,2", "mtu", "9100", "Ethernet4", "0")
		s.send("*0\r\n")
	})
	err := portTable.SetMany(c, []Row{{"Ethernet0", []FieldValue{{"lanes", "1,2"}, {"mtu", "9100"}}}, {"Ethernet4", nil}})
	if err != nil {
		t.Error(err)
	}
}

// TestProducerNoScript checks that a call is repeated with EVAL after NOSCRIPT, and that each row that
// the server refuses is reported: all rows of a refused call, or those that the script returns.
func TestProducerNoScript(t *testing.T) {
	const noScript = "-NOSCRIPT No matching script. Please use EVAL.\r\n"
	fvs := []FieldValue{{"f", "v"}}
	rows := make([]Row, 3*rowsPerScript+1)
	for i := range rows {
		rows[i] = Row{fmt.Sprint(i), fvs}
	}
	last := rowsPerScript * 3
	c := fake(t, func(s *fakeServer) {
		call := func(command, script string, batch int) {
			part := rows[batch*rowsPerScript : min((batch+1)*rowsPerScript, len(rows))]
			args := []string{command, script, fmt.Sprint(2 + len(part)), "PORT_TABLE_CHANNEL@0", "PORT_TABLE_KEY_SET"}
			for _, row := range part {
				args = append(args, "_PORT_TABLE:"+row.Key)
			}
			for _, row := range part {
				args = append(args, row.Key, "1", "f", "v")
			}
			s.expect(args...)
		}
		call("EVAL", SetScript.Source, 0)
		call("EVALSHA", SetScript.SHA1(), 1)
		call("EVALSHA", SetScript.SHA1(), 2)
		call("EVALSHA", SetScript.SHA1(), 3)
		s.send("-OOM no memory\r\n" + noScript + "*0\r\n" + noScript)
		call("EVAL", SetScript.Source, 1)
		call("EVAL", SetScript.Source, 3)
		s.send("*0\r\n" + fmt.Sprintf("*2\r\n$%d\r\n%d\r\n$17\r\nWRONGTYPE no hash\r\n", len(fmt.Sprint(last)), last))
	})
	err := portTable.SetMany(c, rows)
	var want strings.Builder
	for i := range rowsPerScript {
		fmt.Fprintf(&want, "row \"%d\": redis: OOM no memory\n", i)
	}
	fmt.Fprintf(&want, "row \"%d\": redis: WRONGTYPE no hash", last)
	if err == nil || err.Error() != want.String() {
		t.Errorf("got %v, want %s", err, want.String())
	}
	var row *RowError
	if !errors.As(err, &row) || row.Key != "0" || !Temporary(err) {
		t.Errorf("got %v, want a temporary *RowError", err)
	}
	if c.Pending() != 0 || c.usable() != nil {
		t.Errorf("%d pending, usable: %v", c.Pending(), c.usable())
	}
}

// TestProducerBadReply checks that a reply that is not an array of pairs closes the connection.
func TestProducerBadReply(t *testing.T) {
	for _, reply := range []string{"$-1\r\n", ":1\r\n", "*1\r\n$1\r\na\r\n"} {
		c := fake(t, func(s *fakeServer) { s.in.next(); s.send(reply) })
		err := portTable.SetMany(c, []Row{{Key: "a"}})
		if _, ok := errors.AsType[*ProtocolError](err); !ok {
			t.Errorf("%q: got %v, want a *ProtocolError", reply, err)
		}
	}
}

// TestProducerLostConnection checks the error if the connection ends between two rows.
func TestProducerLostConnection(t *testing.T) {
	c := fake(t, func(s *fakeServer) {
		s.in.next()
		s.in.next()
		s.send("-OOM no memory\r\n")
	})
	err := portTable.SetMany(c, make([]Row, rowsPerScript+1))
	var row *RowError
	if !errors.Is(err, io.EOF) || errors.As(err, &row) {
		t.Errorf("got %v, want EOF and no row error", err)
	}
}

// subscribeTo subscribes to the channel on a new connection. fence publishes a message and returns the
// number of notifications that arrived before it.
func subscribeTo(t *testing.T, r *testRedis, channel string) (fence func() int) {
	t.Helper()
	sub, pub := r.dial(t, 0), r.dial(t, 0)
	if err := sub.Subscribe(channel, "fence"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if m, err := sub.ReceiveMessage(); err != nil || m.Kind != Subscribed {
			t.Fatalf("subscribe: got %s, %v", showMessage(m), err)
		}
	}
	return func() int {
		do(t, pub, "PUBLISH", "fence", "")
		for n := 0; ; n++ {
			m, err := sub.ReceiveMessage()
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Channel) == "fence" {
				return n
			}
			if string(m.Channel) != channel || string(m.Payload.Str) != "G" {
				t.Errorf("message: got %s, want G on %s", showMessage(m), channel)
			}
		}
	}
}

func members(t *testing.T, c *Conn, set string) []string {
	t.Helper()
	var names []string
	for _, r := range do(t, c, "SMEMBERS", set).Array {
		names = append(names, string(r.Str))
	}
	slices.Sort(names)
	return names
}

func hash(t *testing.T, c *Conn, key string) []FieldValue {
	t.Helper()
	fvs, err := c.HGetAll(key)
	if err != nil {
		t.Fatal(err)
	}
	return fvs
}

// TestRedisProducerSemantics checks keys, merged fields and notifications on a real server.
func TestRedisProducerSemantics(t *testing.T) {
	r := startRedis(t)
	c := r.dial(t, 0)
	woken := subscribeTo(t, r, "PORT_TABLE_CHANNEL@0")

	err := portTable.SetMany(c, []Row{
		{"Ethernet0", []FieldValue{{"mtu", "9100"}, {"lanes", "1,2"}}},
		{"Ethernet4", []FieldValue{{"mtu", "9100"}}},
		{"Ethernet8", nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := woken(); n != 3 {
		t.Errorf("three new rows: %d messages, want 3", n)
	}
	if got := members(t, c, "PORT_TABLE_KEY_SET"); !slices.Equal(got, []string{"Ethernet0", "Ethernet4", "Ethernet8"}) {
		t.Errorf("key set: got %q", got)
	}
	if got := hash(t, c, "_PORT_TABLE:Ethernet8"); len(got) != 0 {
		t.Errorf("row without fields: got %q", got)
	}

	// Produced again before the consumer pops the row: merged, no notification.
	if err := portTable.Set(c, "Ethernet0", []FieldValue{{"mtu", "1500"}, {"alias", "etp1"}}); err != nil {
		t.Fatal(err)
	}
	if n := woken(); n != 0 {
		t.Errorf("row that was pending: %d messages, want 0", n)
	}
	want := []FieldValue{{"mtu", "1500"}, {"lanes", "1,2"}, {"alias", "etp1"}}
	if got := hash(t, c, "_PORT_TABLE:Ethernet0"); !slices.Equal(got, want) {
		t.Errorf("pending fields: got %q, want %q", got, want)
	}

	// Once the consumer has taken the key, the next Set wakes it again.
	do(t, c, "SREM", "PORT_TABLE_KEY_SET", "Ethernet0")
	do(t, c, "DEL", "_PORT_TABLE:Ethernet0")
	if err := portTable.Set(c, "Ethernet0", []FieldValue{{"mtu", "9100"}}); err != nil {
		t.Fatal(err)
	}
	if n := woken(); n != 1 {
		t.Errorf("row that was taken: %d messages, want 1", n)
	}
	if keys, err := c.Keys("PORT_TABLE:*"); err != nil || len(keys) != 0 {
		t.Errorf("rows proper, which only the consumer makes: got %q, %v", keys, err)
	}
}

// TestRedisProducerWithoutScript checks that SetMany works on a server that lost the script.
func TestRedisProducerWithoutScript(t *testing.T) {
	r := startRedis(t)
	c, other := r.dial(t, 0), r.dial(t, 0)
	var rows []Row
	for i := range 2*chunk + 1 {
		rows = append(rows, Row{fmt.Sprintf("Ethernet%d", i), []FieldValue{{"index", fmt.Sprint(i)}}})
	}
	for range 2 { // without the script at first, then with one that was flushed
		do(t, other, "FLUSHALL")
		do(t, other, "SCRIPT", "FLUSH")
		if err := portTable.SetMany(c, rows); err != nil {
			t.Fatal(err)
		}
		if got := members(t, c, "PORT_TABLE_KEY_SET"); len(got) != len(rows) {
			t.Errorf("key set: %d members, want %d", len(got), len(rows))
		}
		for _, row := range rows {
			if got := hash(t, c, "_PORT_TABLE:"+row.Key); !slices.Equal(got, row.Fields) {
				t.Errorf("row %s: got %q, want %q", row.Key, got, row.Fields)
			}
		}
	}
}

// TestRedisProducerBadRow checks that a row that cannot be stored is reported and not in the key set,
// and that the other rows are stored.
func TestRedisProducerBadRow(t *testing.T) {
	c := startRedis(t).dial(t, 0)
	do(t, c, "SET", "_PORT_TABLE:Ethernet4", "no hash")
	fvs := []FieldValue{{"mtu", "9100"}}
	err := portTable.SetMany(c, []Row{{"Ethernet0", fvs}, {"Ethernet4", fvs}, {"Ethernet8", fvs}})
	var row *RowError
	var e ServerError
	if !errors.As(err, &row) || row.Key != "Ethernet4" || !errors.As(err, &e) || e.Code() != "WRONGTYPE" {
		t.Errorf("got %v, want WRONGTYPE for Ethernet4", err)
	}
	if got := members(t, c, "PORT_TABLE_KEY_SET"); !slices.Equal(got, []string{"Ethernet0", "Ethernet8"}) {
		t.Errorf("key set: got %q, want Ethernet0 and Ethernet8", got)
	}
}

// TestRedisProducerHugeRow checks a row with more fields than Lua can unpack at once, and with arbitrary
// bytes.
func TestRedisProducerHugeRow(t *testing.T) {
	c := startRedis(t).dial(t, 0)
	fvs := []FieldValue{{"empty", ""}, {"", "no name"}, {"crlf", "\r\n$5\r\n"}, {"zero", "\x00\xff"}, {"utf-8", "ü"}}
	for i := range 5000 {
		fvs = append(fvs, FieldValue{fmt.Sprintf("f%d", i), strings.Repeat("v", i%10)})
	}
	if err := portTable.Set(c, "Ethernet0", fvs); err != nil {
		t.Fatal(err)
	}
	got := hash(t, c, "_PORT_TABLE:Ethernet0")
	less := func(a, b FieldValue) int { return strings.Compare(a.Field, b.Field) }
	slices.SortFunc(got, less)
	slices.SortFunc(fvs, less)
	if !slices.Equal(got, fvs) {
		t.Errorf("got %d fields that are not the %d sent", len(got), len(fvs))
	}
}
