package lab

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/sonicdb"
)

// TestMirrorScriptLikeRedis compares replies, MONITOR lines and contents of calls of
// sonicdb.MirrorScript, including failing ones, with a real server.
func TestMirrorScriptLikeRedis(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		Unavailable(t, "no redis-server")
	}
	_, socket := serveDB(t, DBOptions{Notify: "AKE"})
	sides := []*mirrorSide{newMirrorSide(t, socket), newMirrorSide(t, startRedis(t))}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		call := randomMirrorCall(rnd)
		var got [2]string
		for i, side := range sides {
			got[i] = side.run(call)
		}
		if got[0] != got[1] {
			t.Fatalf("%q:\n  DB: %s\nRedis: %s", call, got[0], got[1])
		}
	}
}

// randomMirrorCall is a command: mostly EVAL of the script for some of four
// ports, else one that adds a port, removes it, or puts a string in its place.
func randomMirrorCall(rnd *rand.Rand) []string {
	port := func() string { return strconv.Itoa(rnd.IntN(4)) }
	switch rnd.IntN(8) {
	case 0:
		return []string{"HSET", "PORT_TABLE:" + port(), "lanes", "0"}
	case 1:
		return []string{"DEL", "PORT_TABLE:" + port()}
	case 2:
		return []string{"EVAL", "return redis.call(unpack(ARGV))", "0", "SET", "PORT_TABLE:" + port(), "a string"}
	case 3:
		return []string{"SET6", "PORT_TABLE|" + port(), "a string"}
	}
	var keys, args []string
	for range rnd.IntN(4) {
		p := port()
		keys = append(keys, "PORT_TABLE:"+p, "PORT_TABLE|"+p)
		args = append(args, string("SRDL"[rnd.IntN(4)]), "up", "down", strconv.Itoa(rnd.IntN(9)))
	}
	database := "6"
	if rnd.IntN(20) == 0 {
		database = "99" // which does not exist
	}
	call := []string{"EVAL", sonicdb.MirrorScript.Source, strconv.Itoa(len(keys))}
	return append(append(append(call, keys...), database), args...)
}

// mirrorSide is one of the two servers.
type mirrorSide struct {
	t                     *testing.T
	socket                string
	conn, state, monitors *bufio.ReadWriter
	marks                 int
}

func newMirrorSide(t *testing.T, socket string) *mirrorSide {
	s := &mirrorSide{t: t, socket: socket}
	for _, c := range []**bufio.ReadWriter{&s.conn, &s.state, &s.monitors} {
		nc, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		*c = bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc))
	}
	s.ask(s.state, "SELECT", "6")
	s.ask(s.monitors, "MONITOR")
	return s
}

func (s *mirrorSide) ask(c *bufio.ReadWriter, argv ...string) string {
	s.t.Helper()
	c.Write(appendReply(nil, bulks(argv...)))
	c.Flush()
	reply, err := readRaw(c.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

var varying = regexp.MustCompile(`(?m)^\+\d+\.\d+ |script: \w+, on @user_script:\d+`)

// run returns all that one command led to.
func (s *mirrorSide) run(call []string) string {
	s.t.Helper()
	var out strings.Builder
	if call[0] == "SET6" {
		fmt.Fprintln(&out, s.ask(s.state, append([]string{"SET"}, call[1:]...)...))
	} else {
		fmt.Fprintln(&out, s.ask(s.conn, call...))
	}
	s.marks++
	mark := "mark " + strconv.Itoa(s.marks)
	s.ask(s.conn, "ECHO", mark)
	for {
		line, err := s.monitors.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(line, mark) {
			break
		}
		out.WriteString(line)
	}
	for port := range 4 {
		fmt.Fprintln(&out, s.ask(s.state, "HGETALL", "PORT_TABLE|"+strconv.Itoa(port)))
	}
	return varying.ReplaceAllString(strings.ReplaceAll(out.String(), s.socket, "SOCKET"), "")
}
