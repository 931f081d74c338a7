package lab

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "record testdata/redis again, from the redis-server of this machine")

// TestRecorded compares the replies to the commands of testdata/redis with those recorded from a
// real server.
func TestRecorded(t *testing.T) {
	eachTranscript(t, func(t *testing.T, file string) {
		_, socket := serveDB(t, DBOptions{Notify: "AKE"})
		compareTranscript(t, file, socket)
	})
}

// TestRecordedFromRedis compares the recordings with redis-server on this machine, and writes them
// with -update.
func TestRecordedFromRedis(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		Unavailable(t, "no redis-server")
	}
	// Others spell some errors differently.
	if v, err := exec.Command("redis-server", "--version").Output(); err != nil || !strings.Contains(string(v), "v=7.0.") {
		t.Skipf("recorded from Redis 7.0, here is %s%v", v, err)
	}
	eachTranscript(t, func(t *testing.T, file string) {
		socket := startRedis(t)
		if *update {
			if err := os.WriteFile(file, []byte(playTranscript(t, file, socket)), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		compareTranscript(t, file, socket)
	})
}

func eachTranscript(t *testing.T, run func(t *testing.T, file string)) {
	files, err := filepath.Glob("testdata/redis/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { run(t, file) })
	}
}

func startRedis(t *testing.T) (socket string) {
	dir := t.TempDir()
	socket = filepath.Join(dir, "redis.sock")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
		"--dir", dir, "--notify-keyspace-events", "AKE")
	// The server says when it is ready; waiting for that line needs no polling.
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	log := bufio.NewScanner(stdout)
	for log.Scan() {
		if strings.Contains(log.Text(), "ready to accept connections") {
			go io.Copy(io.Discard, stdout)
			return socket
		}
	}
	t.Fatalf("redis-server ended before it was ready: %v", log.Err())
	return ""
}

func compareTranscript(t *testing.T, file, socket string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantLines := strings.Split(string(want), "\n")
	for i, got := range strings.Split(playTranscript(t, file, socket), "\n") {
		if i >= len(wantLines) || got != wantLines[i] {
			t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, got, append(wantLines, "nothing")[min(i, len(wantLines))])
		}
	}
}

// A transcript has lines of these kinds; x is the letter of a connection:
//
//	# comment
//	x> COMMAND arg "quoted arg"   send, then read one reply
//	x>3 COMMAND                   send, then read three
//	x>~ COMMAND                   as x>, with the elements of the reply sorted
//	x! "raw bytes"                send just that
//	x<2                           read two replies
//	x<eof                         the server closes the connection
//	  "bytes of a reply"
//
// $x in a command is the client id of connection x.
var transcriptLine = regexp.MustCompile(`^([a-z])([>!<])(\d*|~|eof)(?: (.*))?$`)

// playTranscript runs the commands of a transcript and returns it with the
// replies that came.
func playTranscript(t *testing.T, file, socket string) string {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(src), "\n"), "\n")
	p := player{socket: socket, conns: make(map[string]*playerConn)}
	defer p.close()
	// All connect beforehand, so that a MONITOR does not see it.
	for _, line := range lines {
		if m := transcriptLine.FindStringSubmatch(line); m != nil && p.conns[m[1]] == nil {
			if p.conns[m[1]], err = dialPlayer(socket); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out strings.Builder
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			continue // a recorded reply
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := transcriptLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s:%d: cannot read %q", file, i+1, line)
		}
		replies, err := p.step(m[1], m[2], m[3], m[4])
		if err != nil {
			t.Fatalf("%s:%d: %q: %v", file, i+1, line, err)
		}
		for _, r := range replies {
			fmt.Fprintf(&out, "  %s\n", appendQuoted(nil, p.normalize(r)))
		}
	}
	return out.String()
}

type player struct {
	socket string
	conns  map[string]*playerConn
}

type playerConn struct {
	net.Conn
	br *bufio.Reader
	id string
}

func (p *player) close() {
	for _, c := range p.conns {
		c.Close()
	}
}

func dialPlayer(socket string) (*playerConn, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(time.Minute))
	c := &playerConn{Conn: nc, br: bufio.NewReader(nc)}
	fmt.Fprint(c, "CLIENT ID\r\n")
	id, err := readRaw(c.br)
	c.id = strings.Trim(id, ":\r\n")
	return c, err
}

// step does what one line says and returns the replies.
func (p *player) step(name, action, arg, text string) ([]string, error) {
	c, count := p.conns[name], 1
	switch action {
	case ">":
		argv, err := splitQuoted(text)
		if err != nil {
			return nil, err
		}
		for i, word := range argv {
			if strings.HasPrefix(word, "$") && p.conns[word[1:]] != nil {
				argv[i] = p.conns[word[1:]].id
			}
		}
		if _, err := c.Write(appendReply(nil, bulks(argv...))); err != nil {
			return nil, err
		}
	case "!":
		raw, err := splitQuoted(text)
		if err != nil || len(raw) != 1 {
			return nil, errors.New("want one quoted string")
		}
		_, err = io.WriteString(c, raw[0])
		return nil, err
	}
	if arg == "eof" {
		rest, err := io.ReadAll(c.br)
		if len(rest) > 0 || err != nil {
			err = fmt.Errorf("end of connection: got %q, %v", rest, err)
		}
		return nil, err
	}
	if n, err := strconv.Atoi(arg); err == nil {
		count = n
	}
	var out []string
	for range count {
		r, err := readRaw(c.br)
		if err != nil {
			return nil, err
		}
		if arg == "~" {
			r = sortElements(r)
		}
		out = append(out, r)
	}
	return out, nil
}

// readRaw returns the bytes of one reply.
func readRaw(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return line, err
	}
	n, _ := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	switch line[0] {
	case '$':
		if n < 0 {
			return line, nil
		}
		data := make([]byte, n+2)
		_, err := io.ReadFull(br, data)
		return line + string(data), err
	case '*':
		for range max(n, 0) {
			element, err := readRaw(br)
			if err != nil {
				return line, err
			}
			line += element
		}
	}
	return line, nil
}

func sortElements(r string) string {
	br := bufio.NewReader(strings.NewReader(r))
	header, _ := br.ReadString('\n')
	var elements []string
	for {
		e, err := readRaw(br)
		if err != nil {
			break
		}
		elements = append(elements, e)
	}
	slices.Sort(elements)
	return header + strings.Join(elements, "")
}

var (
	monitorTime = regexp.MustCompile(`^\+\d{10}\.\d{6} `)
	luaLine     = regexp.MustCompile(`@user_script:\d+`)
	helloID     = regexp.MustCompile(`(\$2\r\nid\r\n):\d+`)
)

// normalize takes out what differs between two runs, and the line of a script
// error, which a server without Lua cannot know.
func (p *player) normalize(r string) string {
	r = monitorTime.ReplaceAllString(r, "+TIME ")
	r = strings.ReplaceAll(r, p.socket, "SOCKET")
	r = luaLine.ReplaceAllString(r, "@user_script:LINE")
	return helloID.ReplaceAllString(r, "$1:ID")
}

// serveDB runs a database on a socket for the length of a test.
func serveDB(t *testing.T, o DBOptions) (*DB, string) {
	db := NewDB(o)
	socket := filepath.Join(t.TempDir(), "redis.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- db.Serve(l) }()
	t.Cleanup(func() {
		db.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve after Close: %v", err)
		}
	})
	return db, socket
}
