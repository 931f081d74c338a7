package config

import (
	"net/url"
	"slices"
	"strings"

	"portsyncd/config/toml"
)

// pushURL returns the codec for push.url. Its error messages do not contain the value, which may
// include credentials.
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

// secretParameters lists query parameters in which receivers accept credentials: user and password
// of InfluxDB 1.x, tokens, and the keys of VictoriaMetrics (-httpAuth and -*AuthKey).
var secretParameters = []string{"u", "p", "user", "username", "password", "token", "authkey"}

// badPushURL returns the reason why s is not a valid push URL, or "" if it is valid.
func badPushURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 2048 || !isPrintable(s):
		return "not a valid URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "the scheme is neither http nor https"
	case !isHost(u.Hostname()):
		return "the host is neither a name nor an IP address"
	case u.User != nil:
		return "put the user and password into push.authorization_file"
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "a fragment after '#' is not allowed"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "invalid query after '?'"
	}
	for name := range query {
		if slices.Contains(secretParameters, strings.ToLower(name)) {
			return "put the credentials in parameter " + toml.Quote(name) + " into push.authorization_file"
		}
	}
	return ""
}

// isInstance reports whether s can be used as the value of a tag without escaping.
func isInstance(s string) bool { return s != "" && len(s) <= 255 && isPrintable(s) }

// checkPush rejects credentials that would be sent over an unencrypted connection.
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
	d.reject(key, "requires https:// in push.url, since http:// would send the credentials unencrypted")
	p.AuthorizationFile = ""
	delete(d.cfg.origins, key)
}
