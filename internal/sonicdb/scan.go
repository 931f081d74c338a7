package sonicdb

import (
	"slices"
	"strconv"
)

// scanCount is how many keys the server looks at in one step of Scan: some tens
// of microseconds, after which its other clients have their turn.
const scanCount = 512

// Scan returns the keys that match a glob pattern, sorted, without keeping the
// server from its other clients for longer than one step takes. A key that existed
// all the time is among them; a key that came or went meanwhile may or may not be
// (https://redis.io/docs/latest/commands/scan/).
func (c *Conn) Scan(pattern string) ([]string, error) {
	var keys []string
	cursor := "0"
	for {
		r, err := c.Do("SCAN", cursor, "MATCH", pattern, "COUNT", strconv.Itoa(scanCount))
		if err != nil {
			return nil, err
		}
		if len(r.Array) != 2 || r.Array[0].Kind != BulkString || !isStrings(&r.Array[1]) {
			return nil, c.mismatch("a cursor and an array of keys", r)
		}
		cursor = string(r.Array[0].Str)
		for _, k := range r.Array[1].Array {
			keys = append(keys, string(k.Str))
		}
		if cursor == "0" {
			slices.Sort(keys)
			return slices.Compact(keys), nil // a server may return a key twice
		}
	}
}
