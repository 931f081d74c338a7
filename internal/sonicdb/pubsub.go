package sonicdb

import (
	"errors"
	"fmt"
)

// InvalidateChannel is where a server announces keys that changed to a client
// with CLIENT TRACKING ... REDIRECT to a RESP2 connection
// (https://redis.io/docs/latest/develop/reference/client-side-caching/).
const InvalidateChannel = "__redis__:invalidate"

// MessageKind tells the messages of a subscribed connection apart.
type MessageKind byte

// The kinds of messages.
const (
	Published    MessageKind = iota + 1 // a publisher's message
	Subscribed                          // SUBSCRIBE or PSUBSCRIBE took effect
	Unsubscribed                        // the opposite
)

// Message is what a subscribed connection receives
// (https://redis.io/docs/latest/develop/pubsub/). Its slices are valid until the
// next ReceiveMessage.
type Message struct {
	Kind    MessageKind
	Pattern []byte // of the subscription, nil when it is not one by pattern
	Channel []byte // nil for the confirmation of a pattern

	// Payload of a Published message is a BulkString; on InvalidateChannel it
	// is an Array of keys, or Null for all keys. Of the others it is an
	// Integer, the number of subscriptions that are left.
	Payload Reply
}

// Subscribe asks for the messages of channels. From then on the connection can
// only listen: ReceiveMessage, further subscriptions and, by Send and Flush, their
// opposite are allowed.
func (c *Conn) Subscribe(channels ...string) error { return c.listen("SUBSCRIBE", channels) }

// PSubscribe is Subscribe for all channels that match a glob pattern.
func (c *Conn) PSubscribe(patterns ...string) error { return c.listen("PSUBSCRIBE", patterns) }

func (c *Conn) listen(command string, names []string) error {
	if err := c.usable(); err != nil {
		return err
	}
	if c.owed > 0 || c.out.queued > 0 {
		return c.fail(fmt.Errorf("subscribe while %d replies are owed", c.owed+c.out.queued))
	}
	if err := c.sock.waitForEver(); err != nil {
		return c.fail(fmt.Errorf("subscribe: %w", err))
	}
	c.Command(1 + len(names))
	c.String(command)
	for _, n := range names {
		c.String(n)
	}
	return c.Flush()
}

// ReceiveMessage waits for the next message, for ever if need be, until Close.
// The confirmations of Subscribe and PSubscribe are messages too: whoever reads
// a table and follows its changes waits for Subscribed before reading.
func (c *Conn) ReceiveMessage() (Message, error) {
	if err := c.usable(); err != nil {
		return Message{}, err
	}
	if !c.sock.patient {
		return Message{}, c.fail(errors.New("receive a message: nothing is subscribed"))
	}
	r, err := c.in.next()
	if err != nil {
		return Message{}, c.fail(fmt.Errorf("read message: %w", err))
	}
	if r.Kind == Error {
		return Message{}, ServerError(r.Str)
	}
	m, ok := message(r.Array)
	if !ok {
		return Message{}, c.mismatch("a message of a subscription", r)
	}
	return m, nil
}

// message interprets the array that carries one.
func message(a []Reply) (m Message, ok bool) {
	if len(a) < 3 || a[0].Kind != BulkString {
		return Message{}, false
	}
	m.Payload = a[len(a)-1]
	switch string(a[0].Str) {
	case "message": // channel, payload
		m.Kind, m.Channel = Published, a[1].Str
	case "pmessage": // pattern, channel, payload
		m.Kind, m.Pattern, m.Channel = Published, a[1].Str, a[2].Str
		return m, len(a) == 4
	case "subscribe": // channel, number of subscriptions
		m.Kind, m.Channel = Subscribed, a[1].Str
	case "psubscribe": // pattern, number of subscriptions
		m.Kind, m.Pattern = Subscribed, a[1].Str
	case "unsubscribe": // channel or null, number of subscriptions
		m.Kind, m.Channel = Unsubscribed, a[1].Str
	case "punsubscribe":
		m.Kind, m.Pattern = Unsubscribed, a[1].Str
	}
	return m, m.Kind != 0 && len(a) == 3
}
