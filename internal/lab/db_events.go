package lab

import (
	"fmt"
	"strings"
)

// eventClass is a set of event classes as in notify-keyspace-events. Source:
// https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/
type eventClass uint16

const (
	keyspaceChannel eventClass = 1 << iota // K
	keyeventChannel                        // E
	genericEvents                          // g
	stringEvents                           // $
	listEvents                             // l
	setEvents                              // s
	hashEvents                             // h
	zsetEvents                             // z
	expiredEvents                          // x
	evictedEvents                          // e
	streamEvents                           // t
	moduleEvents                           // d
	missEvents                             // m
	newEvents                              // n

	allEvents = moduleEvents<<1 - genericEvents // A: g to d
)

// eventLetters holds the letters of the classes, in the order of their bits.
const eventLetters = "KEg$lshzxetdmn"

func parseEventClass(flags string) (eventClass, error) {
	var class eventClass
	for _, letter := range flags {
		if letter == 'A' {
			class |= allEvents
			continue
		}
		bit := strings.IndexRune(eventLetters, letter)
		if bit < 0 {
			return 0, fmt.Errorf("lab: unknown event class %q in %q: must be one of %q", letter, flags, "A"+eventLetters)
		}
		class |= 1 << bit
	}
	return class, nil
}

// String formats the classes as CONFIG GET does.
func (e eventClass) String() string {
	var b strings.Builder
	letters := func(from, to int) {
		for bit := from; bit < to; bit++ {
			if e&(1<<bit) != 0 {
				b.WriteByte(eventLetters[bit])
			}
		}
	}
	const g, m, n = 2, 12, 13
	if e&allEvents == allEvents {
		b.WriteByte('A')
	} else {
		letters(g, m)
		letters(n, n+1)
	}
	letters(0, g)
	letters(m, m+1)
	return b.String()
}

// notifyKeyspace publishes an event if notify-keyspace-events enables its class.
func (db *DB) notifyKeyspace(index int, class eventClass, event, key string) {
	if db.notify&class == 0 {
		return
	}
	if db.notify&keyspaceChannel != 0 {
		db.publish(fmt.Sprintf("__keyspace@%d__:%s", index, key), event)
	}
	if db.notify&keyeventChannel != 0 {
		db.publish(fmt.Sprintf("__keyevent@%d__:%s", index, event), key)
	}
}

// tracking is the state of CLIENT TRACKING. Only broadcast mode sends invalidations of single keys,
// because the keys that a client reads are not recorded. Source:
// https://redis.io/docs/latest/develop/reference/client-side-caching/
type tracking struct {
	redirect  int64
	broadcast bool
	prefixes  []string // broadcast mode only; none means all keys
	noLoop    bool
}

// invalidationChannel is the channel for invalidation messages to RESP2 clients.
const invalidationChannel = "__redis__:invalidate"

// invalidate sends invalidation messages for key, which was changed by client by, to the clients
// that track it.
func (db *DB) invalidate(by *client, key string) {
	for _, c := range db.clients {
		t := c.tracking
		if t == nil || !t.broadcast || t.noLoop && c == by || !t.covers(key) {
			continue
		}
		db.sendInvalidation(t, bulks(key))
	}
}

// invalidateAll sends the invalidation message for FLUSHDB and FLUSHALL, which has null instead of
// keys.
func (db *DB) invalidateAll() {
	for _, c := range db.clients {
		if c.tracking != nil {
			db.sendInvalidation(c.tracking, nil)
		}
	}
}

func (db *DB) sendInvalidation(t *tracking, keys Reply) {
	target := db.clients[t.redirect]
	if target == nil || target.subscriptions() == 0 {
		return
	}
	target.push([]Reply{"message", invalidationChannel, keys})
}

func (t *tracking) covers(key string) bool {
	for _, p := range t.prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return len(t.prefixes) == 0
}
