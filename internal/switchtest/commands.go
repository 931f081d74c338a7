package switchtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// Command is one line of MONITOR.
type RedisCommand struct {
	DB     int
	Source string // address of the client, "unix:PATH", or "lua" within a script
	Args   []string
}

// monitorLine is https://redis.io/docs/latest/commands/monitor/.
var monitorLine = regexp.MustCompile(`^\+[\d.]+ \[(\d+) ([^\]]*)\] (.*)$`)

// parseCommand reads a line of MONITOR.
func parseCommand(line string) (c RedisCommand, err error) {
	m := monitorLine.FindStringSubmatch(line)
	if m == nil {
		return c, fmt.Errorf("no line of MONITOR: %q", line)
	}
	c.DB, _ = strconv.Atoi(m[1])
	c.Source = m[2]
	for rest := m[3]; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		// Redis' sdscatrepr escapes a subset of what Go does.
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return c, fmt.Errorf("argument in %q: %w", line, err)
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return c, fmt.Errorf("argument %s: %w", quoted, err)
		}
		c.Args, rest = append(c.Args, arg), rest[len(quoted):]
	}
	return c, nil
}

// Monitor records every command that a server runs.
func Monitor(address string) (*Record[RedisCommand], error) {
	conn, err := net.DialTimeout("tcp", address, Timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(Timeout))
	if ok, err := in.ReadString('\n'); ok != "+OK\r\n" {
		return nil, fmt.Errorf("MONITOR: %q, %w", ok, err)
	}
	conn.SetReadDeadline(time.Time{})
	commands := new(Record[RedisCommand])
	go func() {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			c, err := parseCommand(strings.TrimSuffix(line, "\r\n"))
			if err != nil {
				c = RedisCommand{Args: []string{"unreadable", err.Error()}}
			}
			commands.Add(c)
		}
	}()
	return commands, nil
}

// Absent is the content of a row that does not exist.
const NoRow = "nothing"

// Book applies writes to rows. A row is a map of fields, one that is a string
// has the one field "".
type Rows map[string]map[string]string

// Apply carries out HSET, HDEL, SET or DEL and returns the content of the row
// afterwards, and whether that is another than before.
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

// ContentOf spells a row, with its fields sorted.
func RowText(row map[string]string) string {
	if len(row) == 0 {
		return NoRow
	}
	text, _ := json.Marshal(row)
	return string(text)
}

// Pairs makes a map of alternating fields and values.
func FieldMap(flat []string) map[string]string {
	m := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		m[flat[i]] = flat[i+1]
	}
	return m
}

const (
	KeySet        = "PORT_TABLE_KEY_SET"
	PendingPrefix = "_PORT_TABLE:"
	TableChannel  = "PORT_TABLE_CHANNEL@"
)

const (
	Bridge    = "br0"
	SpareLink = "spare" // whose messages do not matter
	ModelRDB  = RedisDir + "/dump.rdb"
)

// ClearLinks deletes all interfaces but lo.
func (sw *Switch) ClearLinks() {
	sw.T.Helper()
	var names []string
	sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if string(l.Name) != "lo" {
			names = append(names, string(l.Name))
		}
	}))
	for _, name := range names {
		sw.Links.Delete(name) // one of a pair takes the other along
	}
}

// ResyncSeries is a counter of the daemon by which the test knows that a fault
// was noticed: what the daemon made of it is the model's to say.
func ResyncSeries(reason string) string { return `portsyncd_resyncs_total{reason="` + reason + `"}` }

// LinkFacts is what final_links tells of an interface.
type LinkState struct {
	Admin  string `json:"admin"`
	MTU    int    `json:"mtu"`
	Master string `json:"master"`
}

// LinkTable returns the watched interfaces of this network namespace.
func LinkStates(t *testing.T) map[string]LinkState {
	t.Helper()
	names, table := make(map[int32]string), make(map[string]LinkState)
	masters := make(map[string]int32)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		name := string(l.Name)
		names[l.Index] = name
		if strings.HasPrefix(name, "Ethernet") || strings.HasPrefix(name, "PortChannel") {
			table[name] = LinkState{Admin: UpOrDown(l.Flags&unix.IFF_UP != 0), MTU: int(l.MTU)}
			masters[name] = l.Master
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, facts := range table {
		facts.Master = names[masters[name]]
		table[name] = facts
	}
	return table
}

func UpOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func EnvNumber(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s is %q, want a number", variable, text)
	}
	return n
}

// Keys that the model knows, with the usual separators.
const (
	ApplPort   = "PORT_TABLE:"
	StatePort  = "PORT_TABLE|"
	ConfigPort = "PORT|"
	ConfigDone = "PortConfigDone"
	InitDone   = "PortInitDone"
)

func IsPortName(name string) bool {
	return strings.HasPrefix(name, "Ethernet") || strings.HasPrefix(name, "PortChannel")
}
