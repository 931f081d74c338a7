package switchtest

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// RedisCommand is a command that MONITOR shows.
type RedisCommand struct {
	DB     int
	Source string // address of the client, "unix:PATH", or "lua" within a script
	Args   []string
}

// monitorLine matches a line of https://redis.io/docs/latest/commands/monitor/.
var monitorLine = regexp.MustCompile(`^\+[\d.]+ \[(\d+) ([^\]]*)\] (.*)$`)

// parseCommand parses a line of MONITOR.
func parseCommand(line string) (c RedisCommand, err error) {
	m := monitorLine.FindStringSubmatch(line)
	if m == nil {
		return c, fmt.Errorf("invalid line in the output of MONITOR: %q", line)
	}
	c.DB, _ = strconv.Atoi(m[1])
	c.Source = m[2]
	for rest := m[3]; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		// Redis' sdscatrepr escapes a subset of what Go does.
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return c, fmt.Errorf("parse argument in %q: %w", line, err)
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return c, fmt.Errorf("unquote argument %s: %w", quoted, err)
		}
		c.Args, rest = append(c.Args, arg), rest[len(quoted):]
	}
	return c, nil
}

// Monitor records every command that the Redis server at a TCP address executes, until the server
// closes the connection.
func Monitor(address string) (*Record[RedisCommand], error) {
	conn, err := net.DialTimeout("tcp", address, requestTimeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(requestTimeout))
	if ok, err := in.ReadString('\n'); ok != "+OK\r\n" {
		return nil, fmt.Errorf("MONITOR returned %q: %w", ok, err)
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
