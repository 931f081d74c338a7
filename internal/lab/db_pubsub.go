package lab

import "slices"

var pubsubCommands = []command{
	{"publish", 3, anytime, cmdPublish},
	{"subscribe", -2, noScript | anytime | pubsub, cmdSubscribe},
	{"psubscribe", -2, noScript | anytime | pubsub, cmdSubscribe},
	{"unsubscribe", -1, noScript | anytime | pubsub, cmdUnsubscribe},
	{"punsubscribe", -1, noScript | anytime | pubsub, cmdUnsubscribe},
}

func cmdPublish(r *request) Reply {
	return r.db.publish(r.argv[1], r.argv[2])
}

// publish sends message to all subscribers of channel and returns the number of messages sent. A
// client that is subscribed to the channel and to matching patterns receives a message for each.
// Source: https://redis.io/docs/latest/develop/pubsub/
func (db *DB) publish(channel, message string) int {
	n := 0
	for _, c := range db.clients {
		if _, has := c.channels[channel]; has {
			c.push([]Reply{"message", channel, message})
			n++
		}
		for pattern := range c.patterns {
			if globMatch(pattern, channel) {
				c.push([]Reply{"pmessage", pattern, channel, message})
				n++
			}
		}
	}
	return n
}

// subscribed returns the set that a subscription command changes: channels or patterns.
func (r *request) subscribed() set {
	if r.cmd.name[0] == 'p' {
		return r.c.patterns
	}
	return r.c.channels
}

func cmdSubscribe(r *request) Reply {
	if r.c.conn == nil {
		return ErrorReply("ERR " + r.cmd.name + " requires a connection")
	}
	var out replies
	for _, channel := range r.argv[1:] {
		r.subscribed()[channel] = struct{}{}
		out = append(out, []Reply{r.cmd.name, channel, r.c.subscriptions()})
	}
	return out
}

func cmdUnsubscribe(r *request) Reply {
	channels := slices.Clone(r.argv[1:])
	if len(channels) == 0 {
		for channel := range r.subscribed() {
			channels = append(channels, channel)
		}
	}
	if len(channels) == 0 {
		return []Reply{r.cmd.name, nil, r.c.subscriptions()}
	}
	var out replies
	for _, channel := range channels {
		delete(r.subscribed(), channel)
		out = append(out, []Reply{r.cmd.name, channel, r.c.subscriptions()})
	}
	return out
}
