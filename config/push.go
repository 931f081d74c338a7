package config

import (
	"net/url"
	"slices"
	"strings"

	"portsyncd/config/toml"
)

// pushURL is a URL to push to, or "". What was written is not repeated in the
// message: credentials may be in it, which is why it is refused.
func pushURL(field func(*Config) *string) codec {
	const want = `an http:// or https:// URL without credentials or ""`
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			s, ok := v.Data.(string)
			if !ok {
				return problemf(v, "expected %s, got %s", want, toml.TypeOf(v.Data))
			}
			if s != "" {
				if why := badPushURL(s); why != "" {
					return problemf(v, "expected %s: %s", want, why)
				}
			}
			*field(c) = s
			return nil
		},
		encode: func(c *Config) string { return toml.Quote(*field(c)) },
		copy:   copier(field),
	}
}

// secretParameters are the names under which receivers take credentials in a
// URL: user and password of InfluxDB 1.x, tokens, the key of VictoriaMetrics
// (-httpAuth and -*AuthKey).
var secretParameters = []string{"u", "p", "user", "username", "password", "token", "authkey"}

// badPushURL says what is wrong with a URL, or "".
func badPushURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048 || !isPrintable(s):
		return "this is no URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "it begins with something else"
	case !isHost(u.Hostname()):
		return "the host is neither a name nor an IP address"
	case u.User != nil:
		return "user and password belong into push.authorization_file"
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "a part after '#' is never sent"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "the part after '?' is not well-formed"
	}
	for name := range query {
		if slices.Contains(secretParameters, strings.ToLower(name)) {
			return "credentials belong into push.authorization_file, not into the parameter " + toml.Quote(name)
		}
	}
	return ""
}

// isInstance accepts what a tag can show as it is.
func isInstance(s string) bool { return s != "" && len(s) <= 255 && isPrintable(s) }

// checkPush keeps credentials from travelling in the clear.
func (d *decoder) checkPush() {
	const key = "push.authorization_file"
	p := &d.cfg.Push
	if p.AuthorizationFile == "" || d.mentions["push.url"].bad {
		return
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" || isLoopback(u.Hostname()) {
		return
	}
	d.reject(key, "needs https:// in push.url: who listens on the way could read it")
	p.AuthorizationFile = ""
	delete(d.cfg.origins, key)
}
