package sonicdb

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var record = flag.Bool("record", false, "rewrite testdata/redis-replies.txt from a real redis-server")

// TestRecord rewrites the recorded replies. Run it to record other commands or another server version:
//
//	go test ./sonicdb -run '^TestRecord$' -record
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	rec := &recorder{t: t}
	rec.everyday()
	rec.errors()
	rec.pubsub()
	rec.maxClients()
	rec.busy()
	rec.replica()
	rec.misconf()
	rec.loading()

	version, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	writeRecordings(t, fmt.Sprintf(`# What a real server sends, as Go strings, one line of the wire each.
# Server: %s# Recorded %s on a unix socket by
#   go test ./sonicdb -run '^TestRecord$' -record
`, version, time.Now().Format(time.DateOnly)), rec.recs)
}

type recorder struct {
	t    *testing.T
	recs []recording
}

// rawConn stores the bytes of the replies that it reads.
type rawConn struct {
	nc       net.Conn
	in       *reader
	captured bytes.Buffer
}

func (rec *recorder) dial(r *testRedis) *rawConn {
	rec.t.Helper()
	nc, err := net.Dial("unix", r.socket)
	if err != nil {
		rec.t.Fatal(err)
	}
	rec.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	c := &rawConn{nc: nc}
	c.in = newReader(io.TeeReader(nc, &c.captured))
	return c
}

// send writes a command and reads nothing.
func (rec *recorder) send(c *rawConn, args ...string) {
	rec.t.Helper()
	var w writer
	w.begin(len(args))
	for _, a := range args {
		w.string(a)
	}
	if _, err := c.nc.Write(w.buf); err != nil {
		rec.t.Fatalf("%q: %v", args, err)
	}
}

// keep reads one reply and records it, unless name is empty.
func (rec *recorder) keep(c *rawConn, name, command string) *Reply {
	rec.t.Helper()
	reply, err := c.in.next()
	if err != nil {
		rec.t.Fatalf("%s: %v", command, err)
	}
	if c.in.r != c.in.w {
		rec.t.Fatalf("%s: more than one reply", command)
	}
	if name == "" && reply.Kind == Error {
		rec.t.Fatalf("%s: %s", command, reply.Str)
	}
	if name != "" {
		rec.recs = append(rec.recs, recording{name, command, bytes.Clone(c.captured.Bytes())})
	}
	c.captured.Reset()
	return reply
}

func (rec *recorder) do(c *rawConn, name string, args ...string) *Reply {
	rec.t.Helper()
	rec.send(c, args...)
	quoted := strconv.Quote(strings.Join(args, " "))
	return rec.keep(c, name, quoted[1:len(quoted)-1])
}

func (rec *recorder) everyday() {
	c := rec.dial(startRedis(rec.t))
	rec.do(c, "ping", "PING")
	rec.do(c, "select", "SELECT", "6")
	rec.do(c, "hset new fields", "HSET", "PORT_TABLE|Ethernet0", "state", "ok", "netdev_oper_status", "up", "admin_status", "up", "mtu", "9100")
	rec.do(c, "hset old fields", "HSET", "PORT_TABLE|Ethernet0", "mtu", "9100")
	rec.do(c, "hgetall", "HGETALL", "PORT_TABLE|Ethernet0")
	rec.do(c, "hgetall of no key", "HGETALL", "PORT_TABLE|Ethernet4")
	rec.do(c, "hget of no field", "HGET", "PORT_TABLE|Ethernet0", "speed")
	rec.do(c, "hmget", "HMGET", "PORT_TABLE|Ethernet0", "mtu", "speed", "state")
	rec.do(c, "exists", "EXISTS", "PORT_TABLE|Ethernet0")
	rec.do(c, "exists not", "EXISTS", "PORT_TABLE|Ethernet4")
	rec.do(c, "", "HSET", "empty", "value", "")
	rec.do(c, "empty value", "HGETALL", "empty")
	rec.do(c, "keys", "KEYS", "PORT_TABLE|*")
	rec.do(c, "del", "DEL", "PORT_TABLE|Ethernet0")
	rec.do(c, "script without result", "EVAL", "return", "0")
	rec.do(c, "nested arrays", "EVAL", "return {1, {'two', {false, {ok='three'}, {err='ERR four'}}}}", "0")
	rec.do(c, "multi", "MULTI")
	rec.do(c, "queued", "PING")
	rec.do(c, "refused in a transaction", "WATCHED")
	rec.do(c, "execabort", "EXEC")
	other := rec.dial(startRedis(rec.t))
	rec.do(other, "", "WATCH", "k")
	rec.do(other, "", "SET", "k", "v")
	rec.do(other, "", "MULTI")
	rec.do(other, "null array", "EXEC")
}

func (rec *recorder) errors() {
	c := rec.dial(startRedis(rec.t))
	rec.do(c, "unknown command", "HELLOO", "a\r\nb")
	rec.do(c, "wrong number of arguments", "HSET", "k", "f")
	rec.do(c, "db out of range", "SELECT", "99")
	rec.do(c, "auth without password", "AUTH", "secret")
	rec.do(c, "", "SET", "k", "v")
	rec.do(c, "wrongtype", "HGETALL", "k")
	rec.do(c, "wrongtype in a script", "EVAL", "redis.call('HSET', KEYS[1], 'f', 'v')", "1", "k")
	rec.do(c, "noscript", "EVALSHA", strings.Repeat("0", 40), "0")
	rec.do(c, "", "CONFIG", "SET", "maxmemory", "1")
	rec.do(c, "oom", "HSET", "h", "f", "v")
	rec.do(c, "oom in a script", "EVAL", "redis.call('HSET', KEYS[1], 'f', 'v')", "1", "h")
	rec.do(c, "", "CONFIG", "SET", "maxmemory", "0", "requirepass", "secret")
	rec.do(rec.dial(&testRedis{socket: c.nc.RemoteAddr().String()}), "noauth", "SELECT", "0")
	rec.do(c, "wrongpass", "AUTH", "guess")
}

func (rec *recorder) pubsub() {
	r := startRedis(rec.t, "--notify-keyspace-events", "KEA")
	c, sub, writer := rec.dial(r), rec.dial(r), rec.dial(r)
	id := fmt.Sprint(rec.do(sub, "", "CLIENT", "ID").Int)
	rec.do(sub, "subscribe", "SUBSCRIBE", "PORT_TABLE_CHANNEL@0")
	rec.do(c, "publish", "PUBLISH", "PORT_TABLE_CHANNEL@0", "G")
	rec.keep(sub, "message", "(subscribed) PUBLISH PORT_TABLE_CHANNEL@0 G")
	rec.do(sub, "psubscribe", "PSUBSCRIBE", "__keyspace@0__:LOGGER|*")
	rec.do(c, "", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "DEBUG")
	rec.keep(sub, "pmessage", "(subscribed) HSET LOGGER|portsyncd LOGLEVEL DEBUG")
	rec.do(sub, "", "SUBSCRIBE", InvalidateChannel)
	rec.do(writer, "", "CLIENT", "TRACKING", "ON", "REDIRECT", id)
	rec.do(writer, "", "HGETALL", "PORT_TABLE:Ethernet0")
	rec.do(c, "", "HSET", "PORT_TABLE:Ethernet0", "mtu", "9100")
	rec.keep(sub, "invalidate", "(tracking) HSET PORT_TABLE:Ethernet0 mtu 9100")
	rec.do(c, "", "FLUSHALL")
	rec.keep(sub, "invalidate all", "(tracking) FLUSHALL")
	rec.do(sub, "command while subscribed", "GET", "k")
	rec.do(sub, "unsubscribe", "UNSUBSCRIBE", "PORT_TABLE_CHANNEL@0")
	rec.do(sub, "punsubscribe", "PUNSUBSCRIBE", "__keyspace@0__:LOGGER|*")
	rec.do(sub, "", "UNSUBSCRIBE", InvalidateChannel)
	rec.do(sub, "unsubscribe from nothing", "UNSUBSCRIBE")
}

func (rec *recorder) maxClients() {
	r := startRedis(rec.t, "--maxclients", "1")
	rec.do(rec.dial(r), "", "PING")
	rec.keep(rec.dial(r), "max clients", "(one connection too many)")
}

func (rec *recorder) busy() {
	r := startRedis(rec.t, "--busy-reply-threshold", "1")
	hog, c := rec.dial(r), rec.dial(r)
	rec.send(hog, "EVAL", "while true do end", "0")
	// Until the script runs and has passed the threshold, PING is answered.
	for rec.do(c, "busy", "PING").Kind != Error {
		rec.recs = rec.recs[:len(rec.recs)-1]
	}
	rec.do(c, "", "SCRIPT", "KILL")
}

func (rec *recorder) replica() {
	r := startRedis(rec.t)
	c := rec.dial(r)
	rec.do(c, "", "REPLICAOF", "127.0.0.1", "1") // no server listens there
	rec.do(c, "readonly", "HSET", "h", "f", "v")
	rec.do(c, "", "CONFIG", "SET", "replica-serve-stale-data", "no")
	rec.do(c, "masterdown", "HGETALL", "h")
}

func (rec *recorder) misconf() {
	// The temporary file of the dump cannot be created without its folder.
	gone := filepath.Join(socketDir(rec.t), "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		rec.t.Fatal(err)
	}
	r := startRedis(rec.t, "--dir", gone, "--save", "3600 1000000")
	if err := os.Remove(gone); err != nil {
		rec.t.Fatal(err)
	}
	c := rec.dial(r)
	rec.do(c, "", "BGSAVE")
	for !strings.Contains(string(rec.do(c, "", "INFO", "persistence").Str), "rdb_last_bgsave_status:err") {
	}
	rec.do(c, "misconf", "HSET", "h", "f", "v")
}

func (rec *recorder) loading() {
	r := startRedis(rec.t)
	c := rec.dial(r)
	for i := range 100 {
		rec.do(c, "", "SET", fmt.Sprint(i), strings.Repeat("incompressible?"+fmt.Sprint(i*i*i), 100))
	}
	rec.do(c, "", "CONFIG", "SET", "rdbcompression", "no")
	rec.do(c, "", "SAVE")
	// A pause of 0.1 s for each key keeps the server loading for 10 s.
	r = startRedisUntil(rec.t, "Loading RDB", "--dir", filepath.Dir(r.socket),
		"--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
	rec.do(rec.dial(r), "loading", "HGETALL", "h")
}
