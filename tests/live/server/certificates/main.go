// Command certificates makes what an API server on loopback and its clients need, in a folder:
//
//	certificates FOLDER                    ca.crt, ca.key, server.crt, server.key, accounts.key
//	certificates FOLDER FILE USER GROUP…   FILE.crt and FILE.key, a client certificate of that authority
//
// They hold for a day.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) == 2 {
		everything(os.Args[1])
	} else if len(os.Args) > 3 {
		client(os.Args[1], os.Args[2], os.Args[3], os.Args[4:])
	} else {
		fmt.Fprintln(os.Stderr, "usage: certificates FOLDER [FILE USER GROUP…]")
		os.Exit(2)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func everything(folder string) {
	authority := newKey(folder, "ca")
	issuer := template("kubeassay-tests", nil)
	issuer.IsCA, issuer.BasicConstraintsValid = true, true
	issuer.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	issue(folder, "ca", issuer, issuer, authority, authority)

	server := template("kube-apiserver", nil)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	issue(folder, "server", server, issuer, newKey(folder, "server"), authority)

	newKey(folder, "accounts")
}

func client(folder, file, user string, groups []string) {
	issuer, err := x509.ParseCertificate(read(folder, "ca.crt"))
	check(err)
	authority, err := x509.ParseECPrivateKey(read(folder, "ca.key"))
	check(err)
	wanted := template(user, groups)
	wanted.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	issue(folder, file, wanted, issuer, newKey(folder, file), authority)
}

func template(name string, groups []string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	check(err)
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func newKey(folder, file string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	encoded, err := x509.MarshalECPrivateKey(key)
	check(err)
	write(folder, file+".key", "EC PRIVATE KEY", encoded)
	return key
}

func issue(folder, file string, wanted, issuer *x509.Certificate, key, authority *ecdsa.PrivateKey) {
	encoded, err := x509.CreateCertificate(rand.Reader, wanted, issuer, &key.PublicKey, authority)
	check(err)
	write(folder, file+".crt", "CERTIFICATE", encoded)
}

func write(folder, file, kind string, content []byte) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	check(os.WriteFile(filepath.Join(folder, file), text, 0o600))
}

func read(folder, file string) []byte {
	text, err := os.ReadFile(filepath.Join(folder, file))
	check(err)
	block, _ := pem.Decode(text)
	if block == nil {
		check(fmt.Errorf("%s holds no PEM", file))
	}
	return block.Bytes
}
