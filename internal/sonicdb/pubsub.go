package sonicdb

import (
	"errors"
	"fmt"
)

// InvalidateChannel is the channel for invalidation messages if CLIENT TRACKING is redirected to a
// RESP2 connection (https://redis.io/docs/latest/develop/reference/client-side-caching/).
const InvalidateChannel = "__redis__:invalidate"

// MessageKind is the kind of a message received on a subscribed connection.
type MessageKind byte

// Message kinds.
const (
	Published    MessageKind = iota + 1 // a message from a publisher
	Subscribed                          // SUBSCRIBE or PSUBSCRIBE took effect
	Unsubscribed                        // UNSUBSCRIBE or PUNSUBSCRIBE took effect
)

// Message is a message received on a subscribed connection
// (https://redis.io/docs/latest/develop/pubsub/). Its slices are valid until the next
// ReceiveMessage.
type Message struct {
	Kind    MessageKind
	Pattern []byte // pattern of the subscription; nil if it has none
	Channel []byte // nil in confirmations of pattern subscriptions

	// Payload is a BulkString in a Published message. On InvalidateChannel it is an Array of keys,
	// or Null for all keys. In other kinds of messages it is an Integer, the number of remaining
	// subscriptions.
	Payload Reply
}

// Subscribe subscribes to channels. Afterwards the connection can be used only for ReceiveMessage,
// further subscriptions, and unsubscribing with Send and Flush.
func (c *Conn) Subscribe(channels ...string) error { return c.listen("SUBSCRIBE", channels) }

// PSubscribe subscribes to all channels that match the glob patterns. See Subscribe.
func (c *Conn) PSubscribe(patterns ...string) error { return c.listen("PSUBSCRIBE", patterns) }

func (c *Conn) listen(command string, names []string) error {
	if err := c.usable(); err != nil {
		return err
	}
	if c.outstanding > 0 || c.out.queued > 0 {
		return c.fail(fmt.Errorf("subscribe while %d commands are pending", c.outstanding+c.out.queued))
	}
	if err := c.sock.clearReadDeadline(); err != nil {
		return c.fail(fmt.Errorf("subscribe: %w", err))
	}
	c.Command(1 + len(names))
	c.String(command)
	for _, n := range names {
		c.String(n)
	}
	return c.Flush()
}

// ReceiveMessage waits for the next message without a timeout. Close interrupts it. The
// confirmations of Subscribe and PSubscribe are returned as messages too. To follow the changes of
// a table, wait for the Subscribed message before reading the table.
func (c *Conn) ReceiveMessage() (Message, error) {
	if err := c.usable(); err != nil {
		return Message{}, err
	}
	if !c.sock.subscribed {
		return Message{}, c.fail(errors.New("receive a message: not subscribed"))
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
		return Message{}, c.mismatch("a Pub/Sub message", r)
	}
	return m, nil
}

// message converts an array reply to a Message.
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
