package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"portsyncd/internal/sonicdb"
)

// bothServers starts a DB and a redis-server.
func bothServers(t *testing.T) (ours, real string) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		Unavailable(t, "no redis-server")
	}
	_, ours = serveDB(t, DBOptions{Notify: "AKE"})
	return ours, startRedis(t)
}

// TestRandomCommands compares the replies and keyspace events of random commands with a real
// server.
func TestRandomCommands(t *testing.T) {
	ours, real := bothServers(t)
	var players []*player
	for _, socket := range []string{ours, real} {
		p := &player{socket: socket, conns: make(map[string]*playerConn)}
		defer p.close()
		for _, name := range []string{"a", "n"} {
			c, err := dialPlayer(socket)
			if err != nil {
				t.Fatal(err)
			}
			p.conns[name] = c
		}
		if _, err := p.step("n", ">", "", "PSUBSCRIBE *"); err != nil {
			t.Fatal(err)
		}
		players = append(players, p)
	}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	key := func() string { return pick("k1", "k2", "k3", "k4") }
	word := func() string { return pick("a", "b", "c", "d", `""`, `"x y"`) }
	command := func() string {
		switch c := pick("SET", "GET", "DEL", "UNLINK", "RENAME", "EXISTS", "TYPE", "HSET", "HMSET", "HGET", "HMGET", "HGETALL",
			"HDEL", "HEXISTS", "HLEN", "HKEYS", "SADD", "SREM", "SPOP", "SMEMBERS", "SISMEMBER", "SCARD", "KEYS",
			"DBSIZE", "FLUSHDB", "SELECT"); c {
		case "SELECT":
			return c + " " + pick("0", "1", "99")
		case "DBSIZE":
			return c
		case "FLUSHDB":
			return pick(c, "DBSIZE", "DBSIZE", "DBSIZE")
		case "KEYS":
			return c + " " + pick("*", "k[12]", "k?", "[^k]*", "k[2-9]")
		case "RENAME":
			return c + " " + key() + " " + key()
		case "SPOP":
			return c + " " + key() + " 100" // all: which ones would differ
		default:
			words := []string{c, key()}
			for range random.IntN(5) {
				words = append(words, word())
			}
			return strings.Join(words, " ")
		}
	}
	for range 5000 {
		text := command()
		sorted := ""
		switch strings.Fields(text)[0] {
		case "KEYS", "SMEMBERS", "SPOP":
			sorted = "~"
		}
		var replies [2]string
		for i, p := range players {
			out, err := p.step("a", ">", sorted, text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			replies[i] = out[0]
		}
		if replies[0] != replies[1] {
			t.Fatalf("%s:\n got %q\nwant %q", text, replies[0], replies[1])
		}
	}
	// The events: both end with the same one.
	var events [2][]string
	for i, p := range players {
		if _, err := p.step("a", ">", "", "PUBLISH end end"); err != nil {
			t.Fatal(err)
		}
		for {
			out, err := p.step("n", "<", "1", "")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out[0], "\r\nend\r\n") {
				break
			}
			events[i] = append(events[i], out[0])
		}
	}
	if len(events[1]) < 1000 {
		t.Errorf("only %d events", len(events[1]))
	}
	for i, want := range events[1] {
		if i >= len(events[0]) || events[0][i] != want {
			t.Fatalf("event %d: got %q, want %q", i, append(events[0], "none")[min(i, len(events[0]))], want)
		}
	}
}

// TestProducer compares the MONITOR lines of produced rows with a real server.
func TestProducer(t *testing.T) {
	ours, real := bothServers(t)
	var lines [2][]string
	for i, socket := range []string{ours, real} {
		p := &player{socket: socket}
		monitor, err := dialPlayer(socket)
		if err != nil {
			t.Fatal(err)
		}
		defer monitor.Close()
		if got := monitor.ask("MONITOR"); got != "+OK" {
			t.Fatal(got)
		}
		applDB, _ := sonicdb.StaticMap("unix", socket).Database("APPL_DB")
		set := producer(t, applDB)
		set("Ethernet0", "mtu", "9100", "alias", "a \"b\"")
		set("Ethernet0", "mtu", "1500")
		set("Empty")
		var many []string
		for n := range 1500 { // more than the script sets in one go
			many = append(many, fmt.Sprint("f", n), "v")
		}
		set("Wide", many...)

		conn, err := sonicdb.Dial(context.Background(), applDB.Options())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Do("PUBLISH", "end", "x"); err != nil {
			t.Fatal(err)
		}
		for {
			line := p.normalize(monitor.receive())
			lines[i] = append(lines[i], line)
			if strings.Contains(line, `"PUBLISH" "end"`) {
				break
			}
		}
	}
	for i, want := range lines[1] {
		if i >= len(lines[0]) || lines[0][i] != want {
			t.Fatalf("line %d:\n got %.300s\nwant %.300s", i, append(lines[0], "none")[min(i, len(lines[0]))], want)
		}
	}
}
