package peers

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"portsyncd/internal/sonicdb"
)

// ports is the number of rows that one batch writes.
const ports = 64

// Numbers of SONiC's databases.
const (
	applDB  = 0
	stateDB = 6
)

// stateKeys and applKeys are the keys of the ports' rows.
var stateKeys, applKeys = portKeys("PORT_TABLE|"), portKeys("PORT_TABLE:")

func portKeys(prefix string) (keys []string) {
	for i := range ports {
		keys = append(keys, prefix+"Ethernet"+strconv.Itoa(4*i))
	}
	return keys
}

// writer writes the rows of all ports with one MTU in one pipeline, and waits until the server has
// acknowledged them.
type writer interface {
	write(tb testing.TB, mtu int)
}

// writers are the candidates by name.
var writers = []struct {
	name string
	dial func(tb testing.TB, socket string) writer
}{
	{"portsyncd", dialOurs},
	{"portsyncd_script", dialScript},
	{"go-redis", dialGoRedis},
	{"rueidis", dialRueidis},
}

type ourWriter struct{ conn *sonicdb.Conn }

func dialSonic(tb testing.TB, socket string, db int) *sonicdb.Conn {
	c, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "unix", Address: socket, DB: db})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func dialOurs(tb testing.TB, socket string) writer { return ourWriter{dialSonic(tb, socket, stateDB)} }

func (w ourWriter) write(tb testing.TB, mtu int) {
	c := w.conn
	for _, key := range stateKeys {
		c.Command(10)
		c.String("HSET")
		c.String(key)
		c.String("state")
		c.String("ok")
		c.String("netdev_oper_status")
		c.String("up")
		c.String("admin_status")
		c.String("up")
		c.String("mtu")
		c.Int(int64(mtu))
	}
	if err := c.Flush(); err != nil {
		tb.Fatal(err)
	}
	for c.Pending() > 0 {
		if _, err := c.Receive(); err != nil {
			tb.Fatal(err)
		}
	}
}

// scriptWriter also looks up in APPL_DB whether the port exists, as the daemon must before each
// write.
type scriptWriter struct{ conn *sonicdb.Conn }

func dialScript(tb testing.TB, socket string) writer {
	c := dialSonic(tb, socket, applDB)
	for _, key := range applKeys {
		if err := c.HSet(key, sonicdb.FieldValue{Field: "lanes", Value: "0"}); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := c.Do("SCRIPT", "LOAD", sonicdb.MirrorScript.Source); err != nil {
		tb.Fatal(err)
	}
	return scriptWriter{c}
}

func (w scriptWriter) write(tb testing.TB, mtu int) {
	c := w.conn
	c.AppendEvalSHA(&sonicdb.MirrorScript, 2*ports, 1+4*ports)
	for i := range ports {
		c.String(applKeys[i])
		c.String(stateKeys[i])
	}
	c.Int(stateDB)
	for range ports {
		c.String(sonicdb.MirrorSet)
		c.String("up")
		c.String("up")
		c.Int(int64(mtu))
	}
	if err := c.Flush(); err != nil {
		tb.Fatal(err)
	}
	r, err := c.Receive()
	if err != nil {
		tb.Fatal(err)
	}
	if len(r.Str) != ports || r.Str[0] != '1' {
		tb.Fatalf("the script answered %q", r.Str)
	}
}

type goRedisWriter struct{ client *redis.Client }

func dialGoRedis(tb testing.TB, socket string) writer {
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, DB: stateDB})
	tb.Cleanup(func() { c.Close() })
	return goRedisWriter{c}
}

func (w goRedisWriter) write(tb testing.TB, mtu int) {
	ctx := context.Background()
	pipe := w.client.Pipeline()
	for _, key := range stateKeys {
		pipe.HSet(ctx, key, "state", "ok", "netdev_oper_status", "up", "admin_status", "up", "mtu", mtu)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		tb.Fatal(err)
	}
}

type rueidisWriter struct {
	client   rueidis.Client
	commands rueidis.Commands
}

func dialRueidis(tb testing.TB, socket string) writer {
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{socket}, SelectDB: stateDB, DisableCache: true, ForceSingleClient: true,
		DialCtxFn: func(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", address)
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return &rueidisWriter{client: c}
}

func (w *rueidisWriter) write(tb testing.TB, mtu int) {
	w.commands = w.commands[:0]
	text := strconv.Itoa(mtu)
	for _, key := range stateKeys {
		w.commands = append(w.commands, w.client.B().Hset().Key(key).FieldValue().
			FieldValue("state", "ok").FieldValue("netdev_oper_status", "up").
			FieldValue("admin_status", "up").FieldValue("mtu", text).Build())
	}
	for _, r := range w.client.DoMulti(context.Background(), w.commands...) {
		if err := r.Error(); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestWritersAgree checks that each candidate writes the same rows, and writes them again with
// another MTU.
func TestWritersAgree(t *testing.T) {
	for _, candidate := range writers {
		t.Run(candidate.name, func(t *testing.T) {
			socket := startRedis(t)
			w := candidate.dial(t, socket)
			look := dialSonic(t, socket, stateDB)
			for _, mtu := range []int{1500, 9100} {
				w.write(t, mtu)
				rows, err := look.HGetAllMany(stateKeys)
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"state": "ok", "netdev_oper_status": "up", "admin_status": "up", "mtu": strconv.Itoa(mtu)}
				for _, row := range rows {
					got := make(map[string]string)
					for _, f := range row.Fields {
						got[f.Field] = f.Value
					}
					if row.Err != nil || !maps.Equal(got, want) {
						t.Errorf("%s: %v (%v), want %v", row.Key, got, row.Err, want)
					}
				}
				keys, err := look.Keys("*")
				if err != nil || len(keys) != ports {
					t.Errorf("%d rows (%v), want %d", len(keys), err, ports)
				}
			}
		})
	}
}

// BenchmarkWrite writes the rows of 64 ports over a unix socket, including the round trip, as the
// daemon does when all ports have changed.
func BenchmarkWrite(b *testing.B) {
	socket := startRedis(b)
	for _, candidate := range writers {
		b.Run(candidate.name, func(b *testing.B) {
			w := candidate.dial(b, socket)
			w.write(b, 1500) // connections and buffers exist from here on
			b.ReportAllocs()
			mtu := 0
			for b.Loop() {
				mtu++
				w.write(b, 1500+mtu%1000)
			}
			b.ReportMetric(float64(ports)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
