package auth

import (
	"net/http"
	"strings"
)

// CheckSecret tells whether a password matches a stored secret of any kind that this package knows.
// Traefik calls it on its own fork of this package, which the module proxy does not hold.
func CheckSecret(password, secret string) bool {
	compare := compareFuncs[0].compare
	for _, known := range compareFuncs[1:] {
		if strings.HasPrefix(secret, known.prefix) {
			compare = known.compare
			break
		}
	}
	return compare([]byte(secret), []byte(password)) == nil
}

// RequireAuthStale asks again; without the fork the client is not told that only its nonce was stale.
func (a *DigestAuth) RequireAuthStale(w http.ResponseWriter, r *http.Request) {
	a.RequireAuth(w, r)
}
