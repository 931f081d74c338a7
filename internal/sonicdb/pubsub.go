package sonicdb

import (
	"errors"
	"fmt"
)

// InvalidateChannel is the channel of invalidation messages for a client that redirects CLIENT TRACKING
// to a RESP2 connection
// (https://redis.io/docs/latest/develop/reference/client-side-caching/).
const InvalidateChannel = "__redis__:invalidate"

// MessageKind is the kind of a message on a subscribed connection.
type MessageKind byte

// Kinds of messages.
const (
	Published    MessageKind = iota + 1 // a message from a publisher
	Subscribed                          // SUBSCRIBE or PSUBSCRIBE took effect
	Unsubscribed                        // UNSUBSCRIBE or PUNSUBSCRIBE took effect
)

// Message is a message on a subscribed connection
// (https://redis.io/docs/latest/develop/pubsub/). Its slices are valid until the
// next ReceiveMessage.
type Message struct {
	Kind    MessageKind
	Pattern []byte // pattern of the subscription; nil for a subscription without pattern
	Channel []byte // nil for the confirmation of a pattern

	// Payload is a BulkString for a Published message. On InvalidateChannel it is an Array of
	// keys, or Null for all keys. For the other kinds it is an Integer: the number of remaining
	// subscriptions.
	Payload Reply
}

// Subscribe subscribes to channels. Afterwards the connection can only be used for ReceiveMessage,
// further subscriptions, and unsubscriptions with Send and Flush.
func (c *Conn) Subscribe(channels ...string) error { return c.listen("SUBSCRIBE", channels) }

// PSubscribe subscribes to all channels that match glob patterns, see Subscribe.
func (c *Conn) PSubscribe(patterns ...string) error { return c.listen("PSUBSCRIBE", patterns) }

func (c *Conn) listen(command string, names []string) error {
	if err := c.usable(); err != nil {
		return err
	}
	if c.outstanding > 0 || c.out.queued > 0 {
		return c.fail(fmt.Errorf("subscribe with %d commands pending", c.outstanding+c.out.queued))
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

// ReceiveMessage waits for the next message without a timeout, until Close. Confirmations of Subscribe
// and PSubscribe are messages too. To follow the changes of a table, wait for Subscribed before
// reading the table.
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
		return Message{}, c.mismatch("a message of a subscription", r)
	}
	return m, nil
}

// message converts the array of a message.
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
