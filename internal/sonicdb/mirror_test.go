package sonicdb

import (
	"slices"
	"strings"
	"testing"
)

// mirror runs MirrorScript for rows with an operation, port, oper, admin and mtu.
func mirror(t *testing.T, c *Conn, rows ...string) string {
	t.Helper()
	c.AppendEval(&MirrorScript, 2*len(rows), 1+4*len(rows))
	for _, row := range rows {
		port := strings.Fields(row)[1]
		c.String("PORT_TABLE:" + port)
		c.String("PORT_TABLE|" + port)
	}
	c.Int(6)
	for _, row := range rows {
		f := strings.Fields(row)
		c.String(f[0])
		for _, value := range f[2:] {
			c.String(value)
		}
	}
	r, err := c.roundTrip()
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Str)
}

// TestRedisMirrorScript checks all operations of MirrorScript on a real server.
func TestRedisMirrorScript(t *testing.T) {
	r := startRedis(t)
	appl, state := r.dial(t, 0), r.dial(t, 6)
	do(t, appl, "HSET", "PORT_TABLE:Ethernet0", "lanes", "1")
	do(t, appl, "HSET", "PORT_TABLE:Ethernet4", "lanes", "2")
	do(t, appl, "HSET", "PORT_TABLE:Ethernet12", "lanes", "4")
	for _, port := range []string{"Ethernet0", "Ethernet4", "Ethernet8", "Ethernet16"} {
		do(t, state, "HSET", "PORT_TABLE|"+port, "speed", "100000")
	}
	do(t, state, "SET", "PORT_TABLE|Ethernet12", "no hash")

	got := mirror(t, appl,
		MirrorSet+" Ethernet0 up up 9100",       // exists: set, foreign fields stay
		MirrorReplace+" Ethernet4 down up 1500", // exists: foreign fields go
		MirrorSet+" Ethernet8 up up 9100",       // not in APPL_DB: left alone
		MirrorSet+" Ethernet12 up up 9100",      // no hash
		MirrorDelete+" Ethernet0x - - -",        // nothing there, nothing asked
		MirrorDeleteCheck+" Ethernet16 - - -",   // deleted
		MirrorReplace+" Ethernet20 up up 9100",  // not in APPL_DB
	)
	letters, failure, _ := strings.Cut(got, " ")
	if letters != "110E000" || !strings.HasPrefix(failure, "WRONGTYPE ") {
		t.Errorf("answer: got %q, want 110E000 and WRONGTYPE", got)
	}
	for key, want := range map[string][]FieldValue{
		"PORT_TABLE|Ethernet0": {{"speed", "100000"}, {"state", "ok"}, {"netdev_oper_status", "up"},
			{"admin_status", "up"}, {"mtu", "9100"}},
		"PORT_TABLE|Ethernet4":  {{"state", "ok"}, {"netdev_oper_status", "down"}, {"admin_status", "up"}, {"mtu", "1500"}},
		"PORT_TABLE|Ethernet8":  {{"speed", "100000"}},
		"PORT_TABLE|Ethernet16": nil,
		"PORT_TABLE|Ethernet20": nil,
	} {
		if fvs := hash(t, state, key); !slices.Equal(fvs, want) {
			t.Errorf("%s: got %q, want %q", key, fvs, want)
		}
	}
	// The script's SELECT does not move its caller.
	if n, err := appl.Exists("PORT_TABLE:Ethernet0"); err != nil || n != 1 {
		t.Errorf("APPL_DB after the script: got %d, %v", n, err)
	}
	if got := mirror(t, appl, MirrorDeleteCheck+" Ethernet0 - - -"); got != "1" {
		t.Errorf("delete and look: got %q, want 1", got)
	}
}
